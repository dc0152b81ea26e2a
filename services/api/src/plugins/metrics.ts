import { planSpares } from "@muster/lifecycle";
import { countLiveJobs, readBrake, readSpares, readWaste, type Pool } from "@muster/store";
import type { FastifyInstance } from "fastify";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { accountOfMany } from "../routes/accounting.ts";
import type { Streams } from "../stream/streams.ts";

/** What ETTR and the times of recoveries are looked at over, in seconds, and milliseconds for which one look is good. */
const ACCOUNT_SECONDS = 7 * 86_400;
const ACCOUNT_FRESH = 30_000;

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
  const ettr = new Gauge({
    name: "muster_ettr",
    help: "Productive time over wall time, by devices, of jobs that ran within 7 days",
    labelNames: ["queue"],
    registers: [registry],
  });
  const goodput = new Gauge({
    name: "muster_goodput",
    help: "Steps kept over steps done, of jobs that ran within 7 days",
    labelNames: ["queue"],
    registers: [registry],
  });
  const wastedBy = new Gauge({
    name: "muster_wasted_device_hours",
    help: "Device-hours that brought nothing, of jobs that ran within 7 days, by the class of what caused it",
    labelNames: ["queue", "cause"],
    registers: [registry],
  });
  const recovery = new Gauge({
    name: "muster_recovery_seconds",
    help: "Times of recoveries that were over within 7 days, by phase, and total",
    labelNames: ["phase", "quantile"],
    registers: [registry],
  });
  const brake = new Gauge({ name: "muster_brake", help: "1 while no node is declared lost, as many fell silent at once", registers: [registry] });
  const spares = new Gauge({
    name: "muster_spares",
    help: "Spare nodes by pool: held_back, lent, advised",
    labelNames: ["pool", "which"],
    registers: [registry],
  });
  let accounted = 0;
  const account = async (): Promise<void> => {
    if (Date.now() - accounted < ACCOUNT_FRESH) return;
    accounted = Date.now();
    const { queues, recoveries } = await accountOfMany(pool, { visible: null, project: null, queue: null, since: ACCOUNT_SECONDS });
    spares.reset();
    for (const row of await readSpares(pool, null)) {
      const which = { held_back: row.heldBack, lent: row.lent, advised: planSpares(row).spares };
      for (const [name, count] of Object.entries(which)) spares.set({ pool: row.pool, which: name }, count);
    }
    for (const gauge of [ettr, goodput, wastedBy, recovery]) gauge.reset();
    for (const { queue, ...sum } of queues) {
      if (sum.ettr !== null) ettr.set({ queue }, sum.ettr);
      if (sum.goodput !== null) goodput.set({ queue }, sum.goodput);
      for (const [cause, hours] of Object.entries(sum.wasted_device_hours)) wastedBy.set({ queue, cause }, hours);
    }
    for (const [phase, times] of Object.entries({ ...recoveries.phases, ...(recoveries.total && { total: recoveries.total }) })) {
      recovery.set({ phase, quantile: "0.5" }, times.p50);
      recovery.set({ phase, quantile: "0.99" }, times.p99);
    }
  };
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
      brake.set((await readBrake(pool)).since === null ? 0 : 1);
      await account();
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
