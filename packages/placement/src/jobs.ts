import type { Placement } from './placer.ts';
import type { QueueNode, Usage } from './quota.ts';
import type { Request } from './request.ts';
import type { JobInput, WaitReason } from './types.ts';
import type { Entry } from './waiting.ts';

/**
 * `waiting`: in a lane, or kept out of it by a gate. `reserved`: evictions for it are under way and its places are
 * held. `running`: holds its places. `stopping`: evicted, holds its places until the workers are confirmed dead.
 */
export type JobState = 'waiting' | 'reserved' | 'running' | 'stopping';

/** One job as the engine sees it. */
export interface JobRecord {
  input: JobInput;
  /** Order of arrival, the last tie-break. */
  sequence: number;
  queue: QueueNode;
  request: Request;
  state: JobState;
  entry: Entry | null;
  placement: Placement | null;
  /** What is charged to its queue. */
  usage: Usage;
  startedAt: number;
  lastCheckpointAt: number;
  /** For whom it is being stopped. */
  stoppingFor: string | null;
  reason: WaitReason;
  reasonSince: number;
  evaluatedAt: number;
}

/** The reason that keeps a job from being considered at all, if any. */
export function gateOf(job: JobRecord, now: number): { reason: WaitReason; until: number | null } | null {
  const { input } = job;
  if (input.held !== undefined) return { reason: 'held', until: null };
  if (input.invalid !== undefined) return { reason: 'invalid', until: null };
  for (let queue: QueueNode | null = job.queue; queue !== null; queue = queue.parent) {
    if (queue.input.paused === true) return { reason: 'queue_paused', until: null };
  }
  if (input.dependency !== undefined) return { reason: 'dependency', until: null };
  if (input.startAfter !== undefined && input.startAfter > now) return { reason: 'start_time', until: input.startAfter };
  if (input.backoffUntil !== undefined && input.backoffUntil > now) return { reason: 'restart_backoff', until: input.backoffUntil };
  return null;
}
