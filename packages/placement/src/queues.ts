import { enqueue } from "./enqueue.ts";
import type { QueueInput } from "./queue-input.ts";
import type { QueueNode } from "./quota.ts";
import type { State } from "./state.ts";

export function putQueue(state: State, input: QueueInput): void {
  const queue = state.quota.put(input);
  if (!state.lanes.has(queue)) {
    state.lanes.set(queue, new Map());
    state.jobsOfQueue.set(queue, new Set());
  }
  // Pausing and moving change what its jobs, and those below it, wait for.
  for (const [other, jobs] of state.jobsOfQueue) if (isBelow(other, queue)) for (const job of jobs) enqueue(state, job);
}

export function removeQueue(state: State, id: string): void {
  const queue = state.quota.queues.get(id);
  if (queue !== undefined && state.jobsOfQueue.get(queue)!.size > 0) throw new Error(`queue ${id}: still has jobs`);
  state.quota.remove(id);
  state.lanes.delete(queue!);
  state.jobsOfQueue.delete(queue!);
  state.running.forget(queue!);
  state.service.forget(queue!);
}

export function isBelow(queue: QueueNode, ancestor: QueueNode): boolean {
  for (let up: QueueNode | null = queue; up !== null; up = up.parent) if (up === ancestor) return true;
  return false;
}
