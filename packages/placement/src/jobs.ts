import type { WaitReason } from "./explanation.ts";
import type { JobInput } from "./job-input.ts";
import type { Placement } from "./placement.ts";
import type { QueueNode, Usage } from "./quota.ts";
import type { Request } from "./request.ts";
import type { Unit } from "./victims.ts";
import type { Entry } from "./waiting.ts";

/**
 * `waiting`: in a lane, or kept out of it by a gate. `reserved`: evictions for it are under way and its places are
 * held. `recovering`: holds the places of its healthy members until the lost ones are replaced.
 * `running`: holds its places. `stopping`: evicted, its workers are not yet confirmed dead.
 */
export type JobState = "waiting" | "reserved" | "recovering" | "running" | "stopping";

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
  /** What is charged to its queue; made anew whenever what it holds changes. */
  usage: Usage;
  /** What can be taken from it, as listed last, and for which usage. */
  units: { of: Usage; list: readonly Unit[] } | null;
  startedAt: number;
  /** Key in a queue that goes by service, as it was taken last: lower goes first. 0 in other queues. */
  need: number;
  lastCheckpointAt: number;
  /** For whom it is being stopped, moved or shrunk. */
  stoppingFor: string | null;
  /** Places that its workers have been told to leave and are not yet confirmed to have left. */
  leaving: Placement | null;
  /** All its places before it was shrunk, to go back to. */
  larger: Placement | null;
  /** Its size has changed: its workers stop once, and then it starts again where it is. */
  resized: boolean;
  /** Members and start before it was grown, until its workers have stopped for that. */
  grownFrom: { members: number; startedAt: number } | null;
  /** Lost ranks by role, while it is recovering. */
  lost: ReadonlyMap<string, readonly number[]>;
  /** Jobs whose leaving it must await before it may start. */
  awaits: Set<JobRecord>;
  /** When it starts, by the last pass over all jobs, and as of when that was. */
  estimate: { at: number; likely: number; longest: number } | null;
  reason: WaitReason;
  reasonSince: number;
  evaluatedAt: number;
}

/** Of most jobs, which lose and await nothing: shared, and never added to. */
export const NONE_LOST: JobRecord["lost"] = new Map();
export const NOBODY: JobRecord["awaits"] = new Set();

/** The reason that keeps a job from being considered at all, if any. */
export function gateOf(job: JobRecord, now: number): { reason: WaitReason; until: number | null } | null {
  const { input } = job;
  if (input.held !== undefined) return { reason: "held", until: null };
  if (input.invalid !== undefined) return { reason: "invalid", until: null };
  for (let queue: QueueNode | null = job.queue; queue !== null; queue = queue.parent) {
    if (queue.input.paused === true) return { reason: "queue_paused", until: null };
  }
  if (input.dependency !== undefined) return { reason: "dependency", until: null };
  if (input.startAfter !== undefined && input.startAfter > now) return { reason: "start_time", until: input.startAfter };
  if (input.backoffUntil !== undefined && input.backoffUntil > now) return { reason: "restart_backoff", until: input.backoffUntil };
  return null;
}

/** Device-milliseconds of work that the job would lose if it were stopped now. */
export function lostWork(job: JobRecord, now: number): number {
  let devices = 0;
  for (const { members, role } of job.placement!.roles) {
    devices +=
      members.length * Math.max(role.shape.devices + role.shape.share / 1000, role.shape.devices + role.shape.share === 0 ? role.shape.cpuMillis / 1000 : 0);
  }
  return devices * Math.max(0, now - job.lastCheckpointAt);
}
