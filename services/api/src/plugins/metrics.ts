import { countLiveJobs, readWaste, type Pool } from "@muster/store";
import type { FastifyInstance } from "fastify";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Streams } from "../stream/streams.ts";

export interface Metrics {
  contentType: string;
  text(): Promise<string>;
}

/** Counts requests by route, and shows jobs and streams as they are when asked. */
export function installMetrics(app: FastifyInstance, pool: Pool, streams: Streams): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: "muster_api_request_duration_seconds",
    help: "Time to answer a request",
    labelNames: ["method", "route", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  const submitted = new Counter({ name: "muster_api_submissions_total", help: "Acknowledged requests that submit jobs", registers: [registry] });
  const open = new Gauge({ name: "muster_api_streams", help: "Open streams of server-sent events", registers: [registry] });
  const jobs = new Gauge({ name: "muster_jobs", help: "Live jobs by state", labelNames: ["state"], registers: [registry] });
  const wasted = new Counter({
    name: "muster_wasted_device_seconds_total",
    help: "Device-seconds lost to faults whose recovery is over, by class",
    labelNames: ["class"],
    registers: [registry],
  });
  const recoveries = new Counter({
    name: "muster_recoveries_total",
    help: "Attempts that faults ended and whose recovery is over, by class",
    labelNames: ["class"],
    registers: [registry],
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    durations.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000);
    if (reply.statusCode === 201 && route.startsWith("/v1/jobs") && request.method === "POST") submitted.inc();
  });
  return {
    contentType: registry.contentType,
    async text() {
      open.set(streams.count);
      const rows = await countLiveJobs(pool, null);
      jobs.reset();
      for (const row of rows) jobs.set({ state: row.state }, row.jobs);
      // kept in the database, so that every API counts the same
      wasted.reset();
      recoveries.reset();
      for (const row of await readWaste(pool)) {
        wasted.inc({ class: row.class }, row.device_seconds);
        recoveries.inc({ class: row.class }, row.incidents);
      }
      return registry.metrics();
    },
  };
}
