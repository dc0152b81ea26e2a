/** One placed member. `devices` are indices on the node; `share` is thousandths held of each of them. */
export interface MemberPlacement {
  role: string;
  /** Node rank within its role, from 0. */
  rank: number;
  node: string;
  devices: readonly number[];
  share: number;
  cpuMillis: number;
  memoryBytes: number;
}

/** Start the whole gang. Members are in rank order, role by role in the order of the spec. */
export interface Start {
  job: string;
  variant: number;
  members: readonly MemberPlacement[];
  /** 1 is as good as this cluster could ever place it, by expected cross-switch traffic. */
  locality: number;
}

/** Why something running is touched, and for whom. */
export interface DisruptionCause {
  kind: "priority" | "reclaim" | "fair_share" | "consolidation" | "speed" | "node_drain";
  /** The waiting job that needs it; the job itself where it moves for its own sake. */
  forJob: string;
  message: string;
}

/** Stop the job with its grace; its capacity stays reserved for `cause.forJob` until `released`. */
export interface Eviction {
  job: string;
  cause: DisruptionCause;
  graceMs: number;
  /** Device-milliseconds of work since its last checkpoint. */
  lostWork: number;
}

/** A resize at a checkpoint: these members go (shrink) or are added (grow). */
export interface Resize {
  job: string;
  members: readonly MemberPlacement[];
  cause?: DisruptionCause;
}

/** Stop the job and start it again on `start`, which is reserved for it from now on. */
export interface Move {
  job: string;
  start: Start;
  cause: DisruptionCause;
  graceMs: number;
  lostWork: number;
}

/** What one cycle decided. All of it is already applied to the engine's state; `undo` takes one decision back. */
export interface CycleResult {
  now: number;
  starts: readonly Start[];
  evictions: readonly Eviction[];
  shrinks: readonly Resize[];
  grows: readonly Resize[];
  moves: readonly Move[];
  /** Jobs looked at, and jobs skipped because nothing that they need was freed. */
  evaluated: number;
  skipped: number;
  waiting: number;
  /** The next instant at which time alone may change a decision; null: none. */
  wakeAt: number | null;
}
