/** The fixed ladder that job specs use; a site's fabric maps its own levels onto it. Smallest first. */
export const FABRIC_LEVELS = ["node", "domain", "leaf", "spine", "zone"] as const;
export type FabricLevel = (typeof FABRIC_LEVELS)[number];

export const JOB_STATES = [
  "queued",
  "held",
  "scheduled",
  "starting",
  "running",
  "recovering",
  "stopping",
  "suspended",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export type JobState = (typeof JOB_STATES)[number];
export const FINAL_JOB_STATES = ["succeeded", "failed", "cancelled"] as const satisfies readonly JobState[];
/** States in which a job waits for the scheduler or a person and holds no device. */
export const WAITING_JOB_STATES = ["queued", "held", "suspended"] as const satisfies readonly JobState[];
/** States in which a job has a current attempt that has not ended. */
export const ACTIVE_JOB_STATES = ["scheduled", "starting", "running", "recovering", "stopping"] as const satisfies readonly JobState[];

/** What a stopping job is on its way to. */
export const STOP_TARGETS = ["suspended", "queued", "held", "resized", "cancelled", "failed", "succeeded"] as const;
export type StopTarget = (typeof STOP_TARGETS)[number];

export const ATTEMPT_STATES = ["scheduled", "starting", "running", "stopping", "ended"] as const;
export type AttemptState = (typeof ATTEMPT_STATES)[number];

/**
 * What an engine reports of a worker: `pending` (not started), `starting` (accepted, no process yet), `running`,
 * `exited` (ended, with its exit code or signal), `lost` (confirmed dead without an exit record).
 */
export const WORKER_STATES = ["pending", "starting", "running", "exited", "lost"] as const;
export type WorkerState = (typeof WORKER_STATES)[number];

export const NODE_HEALTH = ["ready", "suspect", "cordoned", "draining", "diagnosing", "probation", "retired"] as const;
export type NodeHealth = (typeof NODE_HEALTH)[number];

export const ROLES = ["viewer", "submitter", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

export const FAILURE_CLASSES = ["user", "infrastructure", "transient", "preempted", "unknown"] as const;
export type FailureClass = (typeof FAILURE_CLASSES)[number];

export const WAIT_REASONS = [
  "held",
  "invalid",
  "no_matching_pool",
  "queue_paused",
  "dependency",
  "start_time",
  "exceeds_quota",
  "exceeds_topology",
  "quota_exhausted",
  "behind_higher_priority",
  "insufficient_capacity",
  "topology_fragmented",
  "nodes_unhealthy",
  "waiting_for_preemption",
  "restart_backoff",
  "pending_evaluation",
] as const;
export type WaitReason = (typeof WAIT_REASONS)[number];

/** Priority classes that exist unless the cluster defines its own; higher goes first. */
export const DEFAULT_PRIORITIES: Readonly<Record<string, number>> = { low: -100, normal: 0, high: 100, critical: 1000 };

export const DEVICE_VENDORS = ["nvidia", "ascend", "amd", "other", "none"] as const;
export type DeviceVendor = (typeof DEVICE_VENDORS)[number];

/** Thousandths that make one whole device. */
export const WHOLE_DEVICE = 1000;
