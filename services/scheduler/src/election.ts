import { setTimeout as delay } from "node:timers/promises";
import { dropLease, isConnectionError, LeaseLost, takeLease, type Lease, type Pool, type Waker } from "@muster/store";
import type { Logger } from "pino";
import type { SchedulerMetrics } from "./metrics.ts";
import type { RecordingOptions } from "./recording/recorder.ts";
import { Term } from "./term.ts";

export interface ElectionOptions {
  pool: Pool;
  waker: Waker;
  logger: Logger;
  metrics: SchedulerMetrics;
  holder: string;
  recordings?: RecordingOptions | undefined;
}

const LEASE = "scheduler";
const LEASE_SECONDS = 5;
const RENEW_EVERY = 1500;
/** Pause after a term that ended with an error, doubling up to the second; milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

/** Stands for election again and again, and leads while it holds the lease. */
export class Election {
  readonly #options: ElectionOptions;
  readonly #closing = new AbortController();
  /** Where it can be asked while it leads. */
  #address = "";
  #term: Term | undefined;
  #ended: Promise<void> = Promise.resolve();
  /** Resolves once the recordings of all terms until now are on disk. */
  #recorded: Promise<unknown> = Promise.resolve();

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  /** The present leadership, whether its state is loaded or not. */
  get term(): Term | undefined {
    return this.#term;
  }

  start(address: string): void {
    this.#address = address;
    this.#ended = this.#elect();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#ended;
    await this.#recorded;
  }

  /** Lets the lease go, so that the next one need not wait for its end. */
  async drop(): Promise<void> {
    await dropLease(this.#options.pool, LEASE, this.#options.holder).catch(() => {});
  }

  /** Renews until the lease is lost or the term ended. */
  async #keep(lease: Lease, over: AbortController): Promise<void> {
    const { pool, holder, logger } = this.#options;
    let renewed = performance.now();
    while (!over.signal.aborted) {
      await delay(RENEW_EVERY, undefined, { signal: over.signal }).catch(() => {});
      if (over.signal.aborted) return;
      try {
        const mine = await takeLease(pool, LEASE, holder, LEASE_SECONDS, this.#address);
        if (mine?.epoch !== lease.epoch) break;
        renewed = performance.now();
      } catch (error) {
        logger.warn({ err: error }, "the lease could not be renewed");
        if (performance.now() - renewed > LEASE_SECONDS * 1000) break;
      }
    }
    over.abort();
  }

  async #lead(lease: Lease): Promise<void> {
    const { metrics, recordings, ...shared } = this.#options;
    const over = new AbortController();
    const stop = (): void => over.abort();
    this.#closing.signal.addEventListener("abort", stop, { once: true });
    const keeping = this.#keep(lease, over);
    metrics.leader.set(1);
    try {
      let again = true;
      while (again && !over.signal.aborted) {
        const current = new Term({ ...shared, metrics, lease, signal: over.signal, recordings });
        this.#term = current;
        try {
          await current.run();
          again = current.isRecordingFull || current.isOutdated;
        } finally {
          this.#recorded = Promise.all([this.#recorded, current.recordingClosed()]);
        }
      }
    } finally {
      this.#term = undefined;
      metrics.leader.set(0);
      this.#closing.signal.removeEventListener("abort", stop);
      over.abort();
      await keeping;
    }
  }

  async #elect(): Promise<void> {
    const { pool, holder, logger } = this.#options;
    let pause = FIRST_PAUSE;
    while (!this.#closing.signal.aborted) {
      let wait = RENEW_EVERY;
      try {
        const lease = await takeLease(pool, LEASE, holder, LEASE_SECONDS, this.#address);
        if (lease) {
          const began = performance.now();
          try {
            await this.#lead(lease);
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
      await delay(wait, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }
}
