import { FINAL_JOB_STATES, type JobView } from "@muster/model";
import type { MusterClient } from "./client.ts";
import { delay } from "./backoff.ts";
import { ConnectionError, ProblemError, TimeoutError } from "./errors.ts";

export interface WatchJobOptions {
  signal?: AbortSignal | undefined;
  /** Seconds between looks where no event comes in between; 2 by default. */
  interval?: number;
  /** Told when the server can't be reached, once for each time. */
  onUnreachable?: (error: Error) => void;
}

export function isFinal(job: Pick<JobView, "state">): boolean {
  return (FINAL_JOB_STATES as readonly string[]).includes(job.state);
}

/**
 * A job each time that it changed, ending with its final state. Woken by the event stream, and looking every few seconds
 * besides, so that a lost stream costs seconds only. An unreachable server is waited for: the job may well run on.
 * @throws ProblemError where the server refuses; the signal's reason
 */
export async function* watchJob(client: MusterClient, id: string, { signal, interval = 2, onUnreachable }: WatchJobOptions = {}): AsyncGenerator<JobView> {
  const stop = new AbortController();
  const inner = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  let wake: () => void = () => {};
  let woken = false;
  const listening = listen(client, id, inner, () => {
    woken = true;
    wake();
  });
  try {
    let seen: string | undefined;
    let unreachable = false;
    for (;;) {
      woken = false;
      try {
        const job = await client.jobs.get(id, { signal: inner });
        unreachable = false;
        const now = JSON.stringify(job);
        if (now !== seen) yield job;
        seen = now;
        if (isFinal(job)) return;
      } catch (error) {
        if (!isOutage(error)) throw error;
        if (!unreachable) onUnreachable?.(error);
        unreachable = true;
      }
      // a burst of events is worth one look
      await delay(0.1, inner);
      if (!woken) {
        const pause = new AbortController();
        wake = () => pause.abort();
        await delay(interval, AbortSignal.any([inner, pause.signal])).catch((error: unknown) => {
          if (inner.aborted) throw error;
        });
      }
    }
  } finally {
    stop.abort();
    await listening;
  }
}

/** Never fails: a watch without its stream still looks. */
async function listen(client: MusterClient, id: string, signal: AbortSignal, heard: () => void): Promise<void> {
  try {
    for await (const _ of client.streamEvents({ job: id, signal })) heard();
  } catch {
    // refused or stopped: the looks go on
  }
}

function isOutage(error: unknown): error is Error {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return true;
  return error instanceof ProblemError && (error.status >= 500 || error.status === 429);
}
