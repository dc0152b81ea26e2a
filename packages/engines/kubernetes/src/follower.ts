import { setTimeout as delay } from "node:timers/promises";
import { KubeError, type KubeApi } from "./api.ts";
import type { Worker } from "./worker.ts";

/*
 * Reads workers' logs as they are written. A log is lost with its pod, so an end is reported, and the pod let go, only when the
 * log was read to its end, or can't be.
 */

const OPENING_AT_ONCE = 16;
const LONGEST_PAUSE_MS = 30_000;
/** Looks at the log of a worker that has ended, before it is given up. */
const LAST_TRIES = 4;
const GIVE_UP_MS = 20_000;
/** How long a log that is followed may stay open after its worker's end. */
const LINGER_MS = 3000;

export class Follower {
  private readonly api: Pick<KubeApi, "stream">;
  private readonly pods: string;
  private readonly off: boolean;
  private readonly abort = new AbortController();
  private readonly following = new Map<Worker, { ended: AbortController }>();
  private opening = 0;
  private readonly queue: (() => void)[] = [];

  constructor(api: Pick<KubeApi, "stream">, pods: string, off: boolean) {
    this.api = api;
    this.pods = pods;
    this.off = off;
  }

  /** Begins to read; where it has begun, tells that the worker has ended. */
  follow(worker: Worker): void {
    if (this.off) {
      if (worker.end) worker.finish(undefined);
      return;
    }
    const known = this.following.get(worker);
    if (known) {
      if (worker.end) known.ended.abort();
      return;
    }
    this.following.set(worker, { ended: new AbortController() });
    void this.run(worker).finally(() => this.following.delete(worker));
  }

  drop(worker: Worker): void {
    this.following.get(worker)?.ended.abort();
    worker.tail?.release();
  }

  close(): void {
    this.abort.abort();
    for (const worker of this.following.keys()) worker.tail?.release();
  }

  private async run(worker: Worker): Promise<void> {
    const ended = (this.following.get(worker) as { ended: AbortController }).ended.signal;
    const tail = worker.openTail();
    let problem: string | undefined;
    let last = 0;
    for (let failures = 0; !this.abort.signal.aborted && worker.alive; ) {
      const over = worker.end !== undefined;
      if (over && ++last > LAST_TRIES) break;
      try {
        tail.reopen();
        await this.read(worker, ended, () => {
          failures = 0;
        });
        problem = undefined;
        // what was written until its end was known to have come is all there is
        if (over) break;
      } catch (error) {
        if (this.abort.signal.aborted) return;
        problem = (error as Error).message;
        failures++;
        // no such pod, or one whose container never was: there is nothing to wait for
        if (over && error instanceof KubeError && (error.status === 404 || error.status === 400)) break;
      }
      const pause = worker.end ? 250 * last : failures === 0 ? 1000 : Math.random() * Math.min(LONGEST_PAUSE_MS, 500 * 2 ** failures);
      // an end is waited for no longer than it takes
      await delay(pause, undefined, { signal: worker.end ? this.abort.signal : AbortSignal.any([ended, this.abort.signal]) }).catch(() => {});
    }
    if (!this.abort.signal.aborted) worker.finish(problem);
  }

  private async read(worker: Worker, ended: AbortSignal, alive: () => void): Promise<void> {
    const tail = worker.openTail();
    const follow = worker.end === undefined;
    const stop = new AbortController();
    let giveUp: NodeJS.Timeout | undefined;
    const hurry = (): void => {
      giveUp = setTimeout(() => stop.abort(), follow ? LINGER_MS : GIVE_UP_MS);
    };
    if (follow) ended.addEventListener("abort", hurry, { once: true });
    else hurry();
    try {
      await this.admit();
      let body: AsyncIterable<Buffer>;
      try {
        body = await this.api.stream(
          `${this.pods}/${worker.podName}/log`,
          { container: "worker", timestamps: true, ...(follow && { follow }), ...(tail.lastTime !== "" && { sinceTime: `${tail.lastTime.slice(0, 19)}Z` }) },
          AbortSignal.any([stop.signal, this.abort.signal]),
        );
      } finally {
        this.admitNext();
      }
      for await (const data of body) {
        alive();
        tail.push(data);
        await tail.room();
      }
    } finally {
      ended.removeEventListener("abort", hurry);
      clearTimeout(giveUp);
      stop.abort();
    }
  }

  private async admit(): Promise<void> {
    if (this.opening < OPENING_AT_ONCE) {
      this.opening++;
      return;
    }
    await new Promise<void>((resolve) => this.queue.push(resolve));
  }

  private admitNext(): void {
    const next = this.queue.shift();
    if (next) next();
    else this.opening--;
  }
}
