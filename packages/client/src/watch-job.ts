import { FINAL_JOB_STATES, type JobView } from "@muster/model";
import type { MusterClient } from "./client.ts";
import { delay } from "./backoff.ts";
import { ConnectionError, ProblemError, TimeoutError } from "./errors.ts";

export interface WatchJobOptions {
  signal?: AbortSignal | undefined;
  /** Seconds between looks where no event comes in between; by default 2, and more for more jobs. */
  interval?: number;
  /** Told when the server can't be reached, once for each time. */
  onUnreachable?: (error: Error) => void;
}

export type WatchedJob = Pick<JobView, "id" | "array" | "project">;

/** Elements of one array that are worth a list instead of a look at each. */
const WORTH_A_LIST = 8;

export function isFinal(job: Pick<JobView, "state">): boolean {
  return (FINAL_JOB_STATES as readonly string[]).includes(job.state);
}

/**
 * A job each time that it changed, ending with its final state.
 * @throws ProblemError where the server refuses; the signal's reason
 */
export function watchJob(client: MusterClient, id: string, options: WatchJobOptions = {}): AsyncGenerator<JobView> {
  return watch(client, [{ id, array: null }], { job: id }, options);
}

/** Several jobs, each time that one of them changed, ending when all are final. Holds one stream open, however many they are. */
export function watchJobs(client: MusterClient, jobs: readonly WatchedJob[], options: WatchJobOptions = {}): AsyncGenerator<JobView> {
  const [first] = jobs;
  const project = jobs.every((job) => job.project === first?.project) ? first?.project : undefined;
  return watch(client, jobs, jobs.length === 1 ? { job: first?.id } : { project }, options);
}

/**
 * Woken by the event stream, and looking every few seconds besides, so that a lost stream costs seconds only. An
 * unreachable server is waited for: the jobs may well run on.
 */
async function* watch(
  client: MusterClient,
  jobs: readonly Pick<JobView, "id" | "array">[],
  filter: { job?: string | undefined; project?: string | undefined },
  options: WatchJobOptions,
): AsyncGenerator<JobView> {
  const { signal, onUnreachable, interval = Math.max(2, jobs.length / 100) } = options;
  const stop = new AbortController();
  const inner = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const unfinished = new Map(jobs.map((job) => [job.id, { job, seen: "" }]));
  let changed = new Set(unfinished.keys());
  let wake: () => void = () => {};
  const listening = listen(client, filter, inner, (id) => {
    if (!unfinished.has(id)) return;
    changed.add(id);
    wake();
  });
  let unreachable = false;
  try {
    while (unfinished.size > 0) {
      const asked = changed;
      changed = new Set();
      try {
        for await (const job of look(
          client,
          [...asked].flatMap((id) => unfinished.get(id)?.job ?? []),
          inner,
        )) {
          const known = unfinished.get(job.id);
          const now = JSON.stringify(job);
          if (known && known.seen !== now) {
            known.seen = now;
            if (isFinal(job)) unfinished.delete(job.id);
            yield job;
          }
        }
        unreachable = false;
      } catch (error) {
        if (!isOutage(error)) throw error;
        if (!unreachable) onUnreachable?.(error);
        unreachable = true;
      }
      if (unfinished.size === 0) return;
      // a burst of events is worth one look
      await delay(0.1, inner);
      if (changed.size > 0) continue;
      const pause = new AbortController();
      wake = () => pause.abort();
      await delay(interval, AbortSignal.any([inner, pause.signal])).catch((error: unknown) => {
        if (inner.aborted) throw error;
      });
      wake = () => {};
      if (changed.size === 0) changed = new Set(unfinished.keys());
    }
  } finally {
    stop.abort();
    await listening;
  }
}

async function* look(client: MusterClient, jobs: readonly Pick<JobView, "id" | "array">[], signal: AbortSignal): AsyncGenerator<JobView> {
  const ofArray = new Map<string, Set<string>>();
  for (const { id, array } of jobs) if (array) ofArray.set(array.id, (ofArray.get(array.id) ?? new Set()).add(id));
  for (const [array, ids] of ofArray) {
    if (ids.size < WORTH_A_LIST) continue;
    for await (const job of client.jobs.list({ array, limit: 500 }, { signal })) if (ids.has(job.id)) yield job;
  }
  for (const { id, array } of jobs) {
    if (!array || (ofArray.get(array.id)?.size ?? 0) < WORTH_A_LIST) yield await client.jobs.get(id, { signal });
  }
}

/** Never fails: a watch without its stream still looks. */
async function listen(
  client: MusterClient,
  filter: { job?: string | undefined; project?: string | undefined },
  signal: AbortSignal,
  heard: (job: string) => void,
): Promise<void> {
  try {
    for await (const event of client.streamEvents({ ...filter, signal })) if (event.job !== null) heard(event.job);
  } catch {
    // refused or stopped: the looks go on
  }
}

function isOutage(error: unknown): error is Error {
  if (error instanceof ConnectionError || error instanceof TimeoutError) return true;
  return error instanceof ProblemError && (error.status >= 500 || error.status === 429);
}
