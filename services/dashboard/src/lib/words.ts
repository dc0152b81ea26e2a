import { WAITING_JOB_STATES } from "@muster/model";
import type { AttemptView, IncidentView, JobState, JobView, NodeHealth, WaitReason, WorkerState } from "@muster/model";

export type FailureView = NonNullable<JobView["failure"]>;

/** Colours of meaning; each state also has a shape and a word, so that colour is never alone. */
export type Tone = "quiet" | "wait" | "begin" | "run" | "warn" | "bad" | "done" | "hold";
export type Shape = "ring" | "dot-ring" | "half" | "play" | "loop" | "square" | "pause" | "check" | "cross" | "slash" | "triangle" | "dot" | "wrench";

export interface Look {
  label: string;
  tone: Tone;
  shape: Shape;
}

export const JOB_LOOK: Readonly<Record<JobState, Look>> = {
  queued: { label: "Queued", tone: "wait", shape: "ring" },
  held: { label: "Held", tone: "hold", shape: "pause" },
  scheduled: { label: "Scheduled", tone: "begin", shape: "dot-ring" },
  starting: { label: "Starting", tone: "begin", shape: "half" },
  running: { label: "Running", tone: "run", shape: "play" },
  recovering: { label: "Recovering", tone: "warn", shape: "loop" },
  stopping: { label: "Stopping", tone: "warn", shape: "square" },
  suspended: { label: "Suspended", tone: "hold", shape: "pause" },
  succeeded: { label: "Succeeded", tone: "done", shape: "check" },
  failed: { label: "Failed", tone: "bad", shape: "cross" },
  cancelled: { label: "Cancelled", tone: "quiet", shape: "slash" },
};

export const NODE_LOOK: Readonly<Record<NodeHealth, Look>> = {
  ready: { label: "Ready", tone: "run", shape: "dot" },
  suspect: { label: "Suspect", tone: "warn", shape: "triangle" },
  cordoned: { label: "Cordoned", tone: "hold", shape: "slash" },
  draining: { label: "Draining", tone: "warn", shape: "half" },
  diagnosing: { label: "Diagnosing", tone: "bad", shape: "wrench" },
  probation: { label: "Probation", tone: "begin", shape: "dot-ring" },
  retired: { label: "Retired", tone: "quiet", shape: "cross" },
};

export const WORKER_LOOK: Readonly<Record<WorkerState, Look>> = {
  pending: { label: "Pending", tone: "wait", shape: "ring" },
  starting: { label: "Starting", tone: "begin", shape: "half" },
  running: { label: "Running", tone: "run", shape: "play" },
  exited: { label: "Exited", tone: "quiet", shape: "square" },
  lost: { label: "Lost", tone: "bad", shape: "triangle" },
};

/** An exited worker is good or bad by how it exited. */
export function workerLook(worker: { state: WorkerState; exit_code: number | null; signal: string | null; desired: string }): Look {
  if (worker.state !== "exited") return WORKER_LOOK[worker.state];
  if (worker.exit_code === 0) return { label: "Exited 0", tone: "done", shape: "check" };
  // A worker that was told to stop and went by that signal did as asked.
  if (worker.desired !== "run") return { label: "Stopped", tone: "quiet", shape: "square" };
  return { label: worker.signal ?? `Exited ${worker.exit_code ?? "?"}`, tone: "bad", shape: "cross" };
}

export function attemptLook(attempt: Pick<AttemptView, "state" | "outcome">): Look {
  if (attempt.state !== "ended") return JOB_LOOK[attempt.state];
  switch (attempt.outcome) {
    case "succeeded":
      return JOB_LOOK.succeeded;
    case "failed":
      return { label: "Failed", tone: "bad", shape: "cross" };
    case "superseded":
      return { label: "Superseded", tone: "warn", shape: "loop" };
    default:
      return { label: "Stopped", tone: "quiet", shape: "square" };
  }
}

export const SEVERITY_LOOK: Readonly<Record<IncidentView["severity"], Look>> = {
  info: { label: "Info", tone: "begin", shape: "dot" },
  warning: { label: "Warning", tone: "warn", shape: "triangle" },
  critical: { label: "Critical", tone: "bad", shape: "cross" },
};

/** What each reason to wait means, in the words of someone who has to act on it. */
export const WAIT_WORDS: Readonly<Record<WaitReason, { label: string; meaning: string }>> = {
  held: { label: "Held", meaning: "Someone holds it; it starts after a release." },
  invalid: { label: "Invalid", meaning: "The spec cannot be run as it is." },
  no_matching_pool: { label: "No matching pool", meaning: "No pool has what it asks for." },
  queue_paused: { label: "Queue paused", meaning: "Its queue starts nothing now." },
  dependency: { label: "Dependency", meaning: "It waits for another job." },
  start_time: { label: "Start time", meaning: "It asked to start later." },
  exceeds_quota: { label: "Exceeds quota", meaning: "It asks for more than its queue may ever use." },
  exceeds_topology: { label: "Exceeds topology", meaning: "No part of the fabric is large enough." },
  quota_exhausted: { label: "Quota exhausted", meaning: "Its queue uses all that it may use now." },
  behind_higher_priority: { label: "Behind higher priority", meaning: "Jobs ahead of it come first." },
  insufficient_capacity: { label: "No capacity", meaning: "Too few devices are free." },
  topology_fragmented: { label: "Fragmented", meaning: "Enough is free, but not close enough together." },
  nodes_unhealthy: { label: "Nodes unhealthy", meaning: "It would fit if the nodes out of service came back." },
  waiting_for_preemption: { label: "Preempting others", meaning: "Room is being made for it." },
  restart_backoff: { label: "Restart back-off", meaning: "It failed and waits before the next attempt." },
  pending_evaluation: { label: "Not yet evaluated", meaning: "The scheduler has not come to it." },
};

/** Reasons that pass only when someone changes the job or the cluster. */
export const NEVER_START: readonly WaitReason[] = ["invalid", "no_matching_pool", "exceeds_quota", "exceeds_topology"];

export const FAILURE_WORDS: Readonly<Record<FailureView["class"], string>> = {
  user: "The job's own error",
  infrastructure: "Infrastructure",
  transient: "Transient",
  preempted: "Preempted",
  unknown: "Unknown cause",
};

/** Whether a job waits for the scheduler or for a person. */
export const waits = (state: JobState): boolean => (WAITING_JOB_STATES as readonly JobState[]).includes(state);
