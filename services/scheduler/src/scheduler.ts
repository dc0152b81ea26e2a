import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { createPool, listenForWakes, Waker } from "@muster/store";
import type { Logger } from "pino";
import { Election } from "./election.ts";
import { createHttp } from "./http.ts";
import { createMetrics } from "./metrics.ts";
import type { RecordingOptions } from "./recording/recorder.ts";
import type { Term } from "./term.ts";

export interface SchedulerOptions {
  databaseUrl: string;
  logger: Logger;
  /** Where it answers other services; loopback by default. */
  host?: string;
  /** 0, the default: any free one. */
  port?: number;
  /** Whether its metrics include those of the process. */
  processMetrics?: boolean;
  /** Where what is decided is recorded, so that it can be replayed; absent: nowhere. */
  recordings?: RecordingOptions;
}

export interface Scheduler {
  start(): Promise<void>;
  close(): Promise<void>;
  /** Base URL of its own HTTP, once started. */
  readonly address: string;
  readonly leading: boolean;
}

/** Of any number of them on one database, one leads and decides; the others wait for its lease. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { logger } = options;
  const holder = `${hostname()}:${process.pid}:${randomBytes(4).toString("hex")}`;
  const pool = createPool(options.databaseUrl, "scheduler", { max: 6, genericPlans: true });
  // a cycle wakes others once, so there is nothing to gather
  const waker = new Waker(pool, 1);
  const metrics = createMetrics(() => (election.term ? countWaiting(election.term) : []), options.processMetrics ?? false);
  const election = new Election({ pool, waker, logger, metrics, holder, recordings: options.recordings });
  const http = createHttp({ pool, metrics, logger, term: () => (election.term?.loaded ? election.term : undefined) });
  let wakes: { close(): Promise<void> } | undefined;

  return {
    get address() {
      return http.address;
    },
    get leading() {
      return election.term?.loaded ?? false;
    },
    async start() {
      await http.listen(options.host ?? "127.0.0.1", options.port ?? 0);
      wakes = listenForWakes(options.databaseUrl, () => election.term?.wake());
      election.start(http.address);
    },
    async close() {
      await election.close();
      await wakes?.close();
      await http.close();
      await election.drop();
      await waker.close();
      await pool.end();
    },
  };
}

function* countWaiting(term: Term): Generator<{ queue: string; reason: string; jobs: number }> {
  const counts = new Map<string, { queue: string; reason: string; jobs: number }>();
  for (const { row, running } of term.mirror.jobs.values()) {
    if (running !== null || row.state !== "queued") continue;
    const reason = row.wait_reason ?? "pending_evaluation";
    const key = `${row.queue} ${reason}`;
    const count = counts.get(key) ?? { queue: row.queue, reason, jobs: 0 };
    count.jobs++;
    counts.set(key, count);
  }
  yield* counts.values();
}
