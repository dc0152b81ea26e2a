import type { JobState, NodeHealth, ResolvedJobSpec, WaitReason } from "@muster/model";

/* What the scheduler reads. Cpus are thousandths, memory bytes, shares thousandths of a device. */

export interface PoolRow {
  name: string;
  accelerator: string;
  spec: {
    fabric_levels?: string[];
    ownership?: "owned" | "leased" | "cloud";
    price_per_device_hour?: number;
    lease_end?: string;
    power_budget_watts?: number;
    device_power_watts?: number;
  };
}

export interface NodeRow {
  name: string;
  pool: string;
  shard: string;
  fabric: string[];
  devices: number;
  cpus: number;
  memory: number;
  address: string;
  health: NodeHealth;
  health_reason: string | null;
  schedulable: boolean;
  reachable: boolean;
  /** Held back from what isn't preemptible and comes back from no fault. */
  spare?: boolean;
}

export interface QueueRow {
  name: string;
  parent: string | null;
  paused: boolean;
  spec: {
    nominal?: Record<string, number>;
    borrow_limit?: Record<string, number>;
    lend_limit?: Record<string, number>;
    limit?: Record<string, number>;
    guarantee?: Record<string, number>;
    reclaim?: "any_priority" | "lower_priority" | "never";
    within_queue?: "lower_priority" | "lower_or_newer_equal" | "never";
    weight?: number;
    order?: "best_effort" | "strict" | "least_service";
  };
}

/** Times in milliseconds since the epoch. */
export interface WindowRow {
  name: string;
  starts_at: number;
  ends_at: number;
  spec: { nodes: string[]; pool?: string; block: string[]; jobs: string[]; queues: string[] };
}

/** What of a job decides where and when it runs. */
export interface SchedulingJobRow {
  id: string;
  project: string;
  queue: string;
  priority: number;
  preemptible: boolean;
  array_id: string | null;
  array_index: number | null;
  array_limit: number | null;
  state: JobState;
  incarnation: string;
  attempt: number;
  variant: number | null;
  unmet_dependencies: number;
  /** One of them can never be met. */
  dependency_never: boolean;
  not_before: Date | null;
  not_before_reason: string | null;
  wait_reason: WaitReason | null;
  wait_since: Date | null;
  excluded_nodes: string[];
  submitted_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  ran_seconds: number;
  version: number;
  /** Unreleased workers of the current attempt, and of earlier ones. */
  held_now: number;
  held_before: number;
  /** Of the current attempt; null where there is none. */
  attempt_started_at: Date | null;
  rendezvous_address: string | null;
  rendezvous_port: number | null;
  /** Nodes of the last attempt, in rank order; only of a job that waits again. */
  last_nodes: string[] | null;
  checkpointed_at: Date | null;
  /** Where it was asked for. */
  resolved: ResolvedJobSpec | null;
}

/** What a job that ended well ran on, and for how long. */
export interface FinishedRunRow {
  resolved: ResolvedJobSpec;
  accelerator: string;
  run_ms: number;
}

/** A worker whose devices are not free yet. */
export interface HoldingRow {
  job: string;
  incarnation: string;
  attempt: number;
  role: string;
  node_rank: number;
  node: string;
  devices: number[];
  share: number;
  cpus: number;
  memory: number;
}
