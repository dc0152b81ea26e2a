import type { ConstraintMode, JobConstraintInput } from "./job-input.ts";

export type WaitReason =
  | "held"
  | "invalid"
  | "no_matching_pool"
  | "queue_paused"
  | "dependency"
  | "start_time"
  | "exceeds_quota"
  | "exceeds_topology"
  | "quota_exhausted"
  | "behind_higher_priority"
  | "insufficient_capacity"
  | "topology_fragmented"
  | "nodes_unhealthy"
  | "waiting_for_preemption"
  | "restart_backoff"
  | "pending_evaluation";

export interface Need {
  members: number;
  devices: number;
  /** Largest ask of one member. */
  perNode: { accelerators: number; share: number; cpuMillis: number; memoryBytes: number };
  segments: readonly { nodes: number; within: string; mode: ConstraintMode }[];
  within?: JobConstraintInput;
}

export interface PoolFree {
  pool: string;
  accelerator: string;
  freeDevices: number;
  /** Nodes with every device free. */
  freeNodes: number;
  totalDevices: number;
  /** Members of this job that fit, ignoring topology. */
  membersThatFit: number;
  /** Nodes that are registered but not schedulable. */
  unhealthyNodes: number;
}

/** How large a gang could start now if every `segmentNodes` members had to share one block of `within`. */
export interface GangBySegment {
  pool: string;
  within: string;
  segmentNodes: number;
  members: number;
}

/** Nodes that were looked at and turned down, by what they lack. */
export interface Filtered {
  why: string;
  nodes: number;
  sampleNodes: readonly string[];
}

/** How many of the needed members one block of the fabric could take. */
export interface BlockFit {
  block: string;
  level: string;
  fits: number;
  needed: number;
}

export interface StartEstimate {
  /** Milliseconds since the epoch; null: unknown. */
  p50: number | null;
  p90: number | null;
  basis: string;
}

export interface Explanation {
  job: string;
  reason: WaitReason;
  /** One sentence with the numbers it was judged on. */
  message: string;
  /** Since when this has been the reason. */
  since: number;
  evaluatedAt: number;
  need: Need;
  free: readonly PoolFree[];
  largestGangs: readonly GangBySegment[];
  filtered: readonly Filtered[];
  blocks: readonly BlockFit[];
  ahead: { jobs: number; devices: number; top: readonly string[] };
  wouldFitIf: readonly string[];
  estimate: StartEstimate;
}
