import type { Pool } from "@muster/store";
import Fastify, { type FastifyInstance } from "fastify";
import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { KubernetesProvider } from "./kubernetes-provider.ts";
import type { Supervisor } from "./supervisor.ts";

/** Probes and metrics of one supervisor, for everyone on the host. */
export function createHttp(pool: Pool, supervisor: Pick<Supervisor, "id" | "shards">, kubernetes: Pick<KubernetesProvider, "ages">): FastifyInstance {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const shards = new Gauge({
    name: "muster_supervisor_shards",
    help: "Shards that this supervisor keeps",
    registers: [],
    collect() {
      this.set(supervisor.shards.length);
    },
  });
  registry.registerMetric(shards);
  const ages = new Gauge({
    name: "muster_kubernetes_last_event_age_seconds",
    help: "Since when nothing was heard of what is watched in a cluster; bookmarks come about each minute",
    labelNames: ["shard", "watch"],
    registers: [],
    collect() {
      this.reset();
      for (const { shard, watch, milliseconds } of kubernetes.ages()) this.set({ shard, watch }, milliseconds / 1000);
    },
  });
  registry.registerMetric(ages);
  const app = Fastify({ logger: false, forceCloseConnections: true });
  app.get("/healthz", async () => ({ ok: true }));
  app.get("/readyz", async (_request, reply) => {
    try {
      await pool.query("SELECT 1");
      return { ok: true, id: supervisor.id, shards: supervisor.shards };
    } catch {
      return reply.code(503).send({ ok: false, why: "the database does not answer" });
    }
  });
  app.get("/metrics", async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  return app;
}
