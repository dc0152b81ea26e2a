import { clusterChange, type ResolvedJobSpec } from "@muster/model";
import { readCluster, SIGNATURE_HEADER, specInput, verifyInternal, type Pool, type SchedulingJobRow } from "@muster/store";
import Fastify from "fastify";
import type { Logger } from "pino";
import { z } from "zod";
import { changeInput, jobInput, nodeLike, START_AFTER, mayUseSpares } from "./engine-inputs.ts";
import { explainBody, notWaiting, planBody, waitsForStarts, waitsForTurn } from "./explain-view.ts";
import type { SchedulerMetrics } from "./metrics.ts";
import type { Term } from "./term.ts";

export interface HttpOptions {
  pool: Pool;
  metrics: SchedulerMetrics;
  logger: Logger;
  /** The leadership, once its state is loaded; undefined on a standby. */
  term: () => Term | undefined;
}

const explainRequest = z.object({ job: z.string() });
/** The spec was resolved, and names in the change were checked, by the API, which alone may ask. */
const planRequest = z.object({
  change: clusterChange.optional(),
  spec: z.custom<ResolvedJobSpec>((value) => typeof value === "object" && value !== null && Array.isArray((value as ResolvedJobSpec).variants)),
});

/** Probes and metrics for everyone on the host; questions about the engine's state for services that know the cluster's secret. */
export function createHttp({ pool, metrics, logger, term }: HttpOptions) {
  const app = Fastify({ logger: false, bodyLimit: 4 << 20, forceCloseConnections: true });
  let address = "";
  let secret: Buffer | undefined;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body));

  app.get("/healthz", async () => ({ ok: true }));
  app.get("/readyz", async (_request, reply) => {
    try {
      await pool.query("SELECT 1");
      return { ok: true, leading: term() !== undefined };
    } catch {
      return reply.code(503).send({ ok: false, why: "the database does not answer" });
    }
  });
  app.get("/metrics", async (_request, reply) => reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()));

  app.register(async (internal) => {
    internal.addHook("preHandler", async (request, reply) => {
      const header = request.headers[SIGNATURE_HEADER];
      secret ??= (await readCluster(pool)).secret;
      const body = typeof request.body === "string" ? request.body : "";
      if (verifyInternal(secret, request.url, body, typeof header === "string" ? header : undefined, Date.now())) return;
      // the cluster may be another one since
      secret = undefined;
      await reply.code(401).send({ code: "unauthorized", detail: `${SIGNATURE_HEADER} does not sign this request` });
    });

    internal.post("/internal/explain", async (request, reply) => {
      const asked = explainRequest.safeParse(parse(request.body));
      if (!asked.success) return reply.code(400).send({ code: "invalid", detail: z.prettifyError(asked.error) });
      const leading = term();
      if (!leading) return reply.code(503).send({ code: "not_leading" });
      const { mirror } = leading;
      const known = mirror.jobs.get(asked.data.job);
      if (!known || known.told === null) return reply.code(404).send({ code: "not_found" });
      const { id, state } = known.row;
      if (known.running !== null || (state !== "queued" && state !== "held" && state !== "suspended"))
        return notWaiting(id, state, `it is ${state}`, leading.now());
      const input = jobInput(known.row, known.spec, { arrayFull: !mirror.arrays.isOpen(id), notBefore: known.notBefore, spares: mirror.spares });
      const turn = mirror.arrays.isOpen(id) ? undefined : mirror.arrays.standing(id);
      const explanation = mirror.engine.explain(id);
      const paused = leading.pausedFor === null ? undefined : waitsForStarts(explanation, leading.pausedFor);
      const body = explainBody(explanation, input, id, paused ?? (turn && waitsForTurn(explanation, turn)));
      const kept = mayUseSpares(known.row) ? [] : mirror.spares;
      const filtered = kept.length > 0 ? [{ why: "held back as spares", count: kept.length, sample_nodes: kept.slice(0, 5) }] : [];
      return { job: id, state, ...body, filtered: [...body.filtered, ...filtered] };
    });

    internal.post("/internal/plan", async (request, reply) => {
      const asked = planRequest.safeParse(parse(request.body));
      if (!asked.success) return reply.code(400).send({ code: "invalid", detail: z.prettifyError(asked.error) });
      const leading = term();
      if (!leading) return reply.code(503).send({ code: "not_leading" });
      const { spec } = asked.data;
      const { mirror } = leading;
      if (!mirror.queues.has(spec.queue)) return reply.code(409).send({ code: "unknown_queue", detail: `queue ${spec.queue} is not known here yet` });
      const row = plannedRow(spec, leading.priorityOf(spec.priority), leading.now());
      try {
        const input = jobInput(row, specInput(spec), { spares: mirror.spares });
        const change = asked.data.change && changeInput(asked.data.change, mirror.queues, mirror.pools.values());
        const plan = mirror.engine.plan(input, leading.now(), change);
        return planBody(spec, plan, input, (node) => mirror.nodes.get(nodeLike(node))?.pool);
      } catch (error) {
        return reply.code(422).send({ code: "invalid", detail: error instanceof Error ? error.message : String(error) });
      }
    });

    internal.post("/internal/state", async (_request, reply) => {
      const leading = term();
      return leading ? leading.state() : reply.code(503).send({ code: "not_leading" });
    });
  });

  app.setErrorHandler(async (error, request, reply) => {
    logger.error({ err: error, url: request.url }, "a request failed");
    await reply.code(500).send({ code: "internal" });
  });

  return {
    get address() {
      return address;
    },
    async listen(host: string, port: number): Promise<void> {
      address = await app.listen({ host, port });
    },
    close: () => app.close(),
  };
}

function parse(body: unknown): unknown {
  try {
    return JSON.parse(String(body));
  } catch {
    return undefined;
  }
}

/** The row that the job would have if it were submitted now. */
function plannedRow(spec: ResolvedJobSpec, priority: number, now: number): SchedulingJobRow {
  return {
    id: "planned",
    project: spec.project,
    queue: spec.queue,
    priority,
    preemptible: spec.preemptible,
    array_id: null,
    array_index: null,
    array_limit: null,
    state: "queued",
    incarnation: "0",
    attempt: 0,
    variant: null,
    unmet_dependencies: 0,
    dependency_never: false,
    not_before: spec.start_after === undefined ? null : new Date(spec.start_after),
    not_before_reason: spec.start_after === undefined ? null : START_AFTER,
    wait_reason: null,
    wait_since: null,
    excluded_nodes: [],
    submitted_at: new Date(now),
    started_at: null,
    finished_at: null,
    ran_seconds: 0,
    version: 1,
    held_now: 0,
    held_before: 0,
    attempt_started_at: null,
    rendezvous_address: null,
    rendezvous_port: null,
    last_nodes: null,
    checkpointed_at: null,
    resolved: null,
  };
}
