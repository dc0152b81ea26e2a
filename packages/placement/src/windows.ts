import type { WindowInput } from "./cluster-input.ts";
import type { JobRecord } from "./jobs.ts";
import { updateJob } from "./known-jobs.ts";
import { durations } from "./learned.ts";
import type { Partition } from "./partition.ts";
import type { Charge } from "./placement.ts";
import { isFastEnough } from "./preference.ts";
import { canCheckpoint } from "./request.ts";
import type { State } from "./state.ts";

/** Whether a job that starts now is done, or can be stopped without loss, by an instant. */
export function doneBy(state: State, job: JobRecord, at: number): boolean {
  if (canCheckpoint(job.input)) return true;
  // What finished runs took is a guess: a limit, or what was asked, goes before it.
  const { timeLimit, expectedDuration } = job.input;
  return state.now + (timeLimit ?? expectedDuration ?? durations(job, state.learned).longest) <= at;
}

/** Nodes on which a maintenance window or another's reservation begins before the job could be done. */
export function closedNodes(state: State, job: JobRecord): number[] {
  const closed: number[] = [];
  for (const window of windowsAgainst(state, job)) {
    for (const id of window.nodes) {
      const slot = state.placer.nodes.names.find(id);
      if (slot >= 0) closed.push(slot);
    }
  }
  return closed;
}

/** Windows that keep the job, if it started now, off their nodes. */
export function windowsAgainst(state: State, job: JobRecord): WindowInput[] {
  const against: WindowInput[] = [];
  for (const window of state.windows.values()) {
    if (window.end <= state.now || window.jobs?.includes(job.input.id) === true || window.queues?.includes(job.queue.id) === true) continue;
    if (window.start <= state.now || !doneBy(state, job, window.start)) against.push(window);
  }
  return against;
}

/** Where a job may go at all now: quota, windows, leases, and speed where it goes by that. */
export function bounds(
  state: State,
  job: JobRecord,
): { allowed: (charges: readonly Charge[]) => boolean; avoid: number[]; usable: (partition: Partition) => boolean } {
  return {
    allowed: (charges) => state.quota.allows(job.queue, state.quota.usageOf(charges)),
    avoid: closedNodes(state, job),
    usable: (partition) => leaseLasts(state, job, partition) && isFastEnough(state, job, partition),
  };
}

/** Whether the pool's lease lasts long enough for the job; what may be stopped is stopped when it ends. */
export function leaseLasts(state: State, job: JobRecord, partition: Partition): boolean {
  const end = state.placer.pools.get(partition.pool)?.leaseEnd;
  return end === undefined || (end > state.now && (job.input.preemptible || doneBy(state, job, end)));
}

/** Throws an Error where the window ends before it starts. */
export function putWindow(state: State, window: WindowInput): void {
  if (!(window.end > window.start)) throw new Error(`window ${window.id}: must end after it starts`);
  const named = new Set([...(state.windows.get(window.id)?.jobs ?? []), ...(window.jobs ?? [])]);
  state.windows.set(window.id, window);
  windowsChanged(state, named);
}

export function removeWindow(state: State, id: string): void {
  const window = state.windows.get(id);
  if (window === undefined) throw new Error(`window ${id}: not known`);
  state.windows.delete(id);
  windowsChanged(state, window.jobs ?? []);
}

/** Jobs that a window names fit where others of the same request do not, so they wait apart. */
function windowsChanged(state: State, named: Iterable<string>): void {
  state.placer.epoch++;
  for (const id of named) {
    const job = state.jobs.get(id);
    if (job !== undefined) updateJob(state, job.input);
  }
}
