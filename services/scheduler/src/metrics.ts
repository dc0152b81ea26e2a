import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

export type SchedulerMetrics = ReturnType<typeof createMetrics>;

/** @param waiting counts the jobs that wait now, by queue and reason; asked at each scrape */
export function createMetrics(waiting: () => Iterable<{ queue: string; reason: string; jobs: number }>, own: boolean) {
  const registry = new Registry();
  // in one process with other services, these are theirs
  if (own) collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    cycle: new Histogram({
      name: "muster_scheduler_cycle_seconds",
      help: "Time to decide, without writing it",
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    decisions: new Counter({ name: "muster_scheduler_decisions_total", help: "Decisions by kind; dropped ones met a change", labelNames: ["kind"], registers }),
    workers: new Counter({ name: "muster_scheduler_workers_placed_total", help: "Workers of the attempts opened", registers }),
    lag: new Gauge({ name: "muster_scheduler_feed_lag_seconds", help: "Age of the newest change when it was read", registers }),
    leader: new Gauge({ name: "muster_scheduler_leader", help: "1 where this scheduler leads", registers }),
    waiting: new Gauge({
      name: "muster_scheduler_waiting_jobs",
      help: "Jobs that wait, by queue and reason",
      labelNames: ["queue", "reason"],
      registers,
      collect() {
        this.reset();
        for (const { queue, reason, jobs } of waiting()) this.set({ queue, reason }, jobs);
      },
    }),
  };
}
