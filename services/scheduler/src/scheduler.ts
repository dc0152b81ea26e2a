import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { createPool, dropLease, isConnectionError, LeaseLost, listenForWakes, takeLease, Waker, type Lease } from "@muster/store";
import type { Logger } from "pino";
import { createHttp } from "./http.ts";
import { createMetrics } from "./metrics.ts";
import type { RecordingOptions } from "./recording/recorder.ts";
import { Term } from "./term.ts";

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

const LEASE = "scheduler";
const LEASE_SECONDS = 5;
const RENEW_EVERY = 1500;
/** Pause after a term that ended with an error, doubling up to the second; milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

/** Of any number of them on one database, one leads and decides; the others wait for its lease. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { logger } = options;
  const holder = `${hostname()}:${process.pid}:${randomBytes(4).toString("hex")}`;
  const pool = createPool(options.databaseUrl, "scheduler", { max: 6, genericPlans: true });
  const waker = new Waker(pool);
  const closing = new AbortController();
  let term: Term | undefined;
  let ended: Promise<void> = Promise.resolve();
  /** Resolves once the recordings of all terms until now are on disk. */
  let recorded: Promise<unknown> = Promise.resolve();
  let wakes: { close(): Promise<void> } | undefined;

  const metrics = createMetrics(() => (term ? countWaiting(term) : []), options.processMetrics ?? false);
  const http = createHttp({ pool, metrics, logger, term: () => (term?.loaded ? term : undefined) });

  /** Renews until the lease is lost or the term ended. */
  const keep = async (lease: Lease, address: string, over: AbortController): Promise<void> => {
    let renewed = performance.now();
    while (!over.signal.aborted) {
      await delay(RENEW_EVERY, undefined, { signal: over.signal }).catch(() => {});
      if (over.signal.aborted) return;
      try {
        const mine = await takeLease(pool, LEASE, holder, LEASE_SECONDS, address);
        if (mine?.epoch !== lease.epoch) break;
        renewed = performance.now();
      } catch (error) {
        logger.warn({ err: error }, "the lease could not be renewed");
        if (performance.now() - renewed > LEASE_SECONDS * 1000) break;
      }
    }
    over.abort();
  };

  const lead = async (lease: Lease): Promise<void> => {
    const over = new AbortController();
    const stop = (): void => over.abort();
    closing.signal.addEventListener("abort", stop, { once: true });
    const keeping = keep(lease, http.address, over);
    metrics.leader.set(1);
    try {
      let full = true;
      while (full && !over.signal.aborted) {
        const current = new Term({ pool, lease, holder, logger, metrics, waker, signal: over.signal, recordings: options.recordings });
        term = current;
        try {
          await current.run();
          full = current.isRecordingFull;
        } finally {
          recorded = Promise.all([recorded, current.recordingClosed()]);
        }
      }
    } finally {
      term = undefined;
      metrics.leader.set(0);
      closing.signal.removeEventListener("abort", stop);
      over.abort();
      await keeping;
    }
  };

  const elect = async (): Promise<void> => {
    let pause = FIRST_PAUSE;
    while (!closing.signal.aborted) {
      let wait = RENEW_EVERY;
      try {
        const lease = await takeLease(pool, LEASE, holder, LEASE_SECONDS, http.address);
        if (lease) {
          const began = performance.now();
          try {
            await lead(lease);
          } finally {
            if (performance.now() - began > LONGEST_PAUSE) pause = FIRST_PAUSE;
          }
          logger.info("no longer leading");
        }
      } catch (error) {
        if (error instanceof LeaseLost) logger.warn("another scheduler leads now; all state is dropped");
        else if (isConnectionError(error)) logger.warn({ err: error }, "the database is away; all state is dropped and read again");
        else logger.error({ err: error }, "the term ended; all state is dropped and read again");
        wait = pause;
        pause = Math.min(LONGEST_PAUSE, pause * 2);
      }
      await delay(wait, undefined, { signal: closing.signal }).catch(() => {});
    }
  };

  return {
    get address() {
      return http.address;
    },
    get leading() {
      return term?.loaded ?? false;
    },
    async start() {
      await http.listen(options.host ?? "127.0.0.1", options.port ?? 0);
      wakes = listenForWakes(options.databaseUrl, () => term?.wake());
      ended = elect();
    },
    async close() {
      closing.abort();
      await ended;
      await recorded;
      await wakes?.close();
      await http.close();
      await dropLease(pool, LEASE, holder).catch(() => {});
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
