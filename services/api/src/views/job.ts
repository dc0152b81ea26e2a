import type { AttemptView, EventView, IncidentView, JobState, JobView, WorkerView } from "@muster/model";
import { checkpointView, type tokenView } from "@muster/model";
import type { AttemptListRow, CheckpointListRow, IncidentRow, JobFailure, JobListRow, TokenRow, WorkerListRow } from "@muster/store";
import type { z } from "zod";

export const iso = (time: Date | null): string | null => time?.toISOString() ?? null;

/** How a sentence about a job goes on. */
export function inState(state: JobState): string {
  if (state === "succeeded" || state === "failed") return `has ${state}`;
  return state === "cancelled" ? "was cancelled" : `is ${state}`;
}

export function toJobView(row: JobListRow): JobView {
  return {
    id: row.id,
    name: row.name,
    project: row.project,
    queue: row.queue,
    submitter: row.submitter,
    labels: row.labels,
    description: row.description,
    priority: row.priority_class,
    preemptible: row.preemptible,
    array: row.array_id === null ? null : { id: row.array_id, index: row.array_index ?? 0 },
    nodes: row.nodes,
    devices: row.devices,
    state: row.state,
    state_since: row.state_since.toISOString(),
    stopping: row.stop_target === null ? null : { target: row.stop_target, reason: row.stop_reason ?? "" },
    conditions: row.conditions,
    workers:
      row.workers_total > 0 && ["scheduled", "starting", "running", "recovering", "stopping"].includes(row.state)
        ? { running: row.workers_running, total: row.workers_total }
        : null,
    attempt: row.attempt,
    variant: row.variant,
    pools: row.pools ?? [],
    wait_reason: waitReason(row),
    not_before: iso(row.not_before),
    progress: row.progress && { ...row.progress, at: new Date(row.progress.at).toISOString() },
    latest_checkpoint: row.checkpoint && { ...row.checkpoint, at: new Date(row.checkpoint.at).toISOString() },
    restarts: { user: row.user_failures, infrastructure: row.infrastructure_failures, unknown: row.unknown_failures, max_user: row.max_restarts },
    failure: row.failure && toFailure(row.failure),
    submitted_at: row.submitted_at.toISOString(),
    started_at: iso(row.started_at),
    finished_at: iso(row.finished_at),
    run_seconds: row.ran_seconds + row.running_seconds,
    accounting: null,
    checkpointing: null,
    version: row.version,
  };
}

/** A waiting job has a reason, also in the moment before the scheduler has looked. */
function waitReason(row: JobListRow): JobView["wait_reason"] {
  if (row.state === "held") return "held";
  if (row.state !== "queued") return null;
  return row.wait_reason ?? "pending_evaluation";
}

export function toFailure(failure: Partial<JobFailure>): NonNullable<JobView["failure"]> {
  return {
    class: failure.class ?? "unknown",
    rule: failure.rule ?? "",
    message: failure.message ?? "",
    worker: failure.worker ?? null,
    node: failure.node ?? null,
    exit_code: failure.exit_code ?? null,
    signal: failure.signal ?? null,
    evidence: (failure.evidence ?? []).map(String),
  };
}

export function toAttemptView(row: AttemptListRow): AttemptView {
  return {
    job: row.job,
    number: row.number,
    incarnation: row.incarnation,
    state: row.state,
    variant: row.variant,
    workers: row.gang,
    nodes: row.nodes ?? [],
    resume_reason: row.resume_reason,
    resumed_from_step: row.resumed_from_step,
    scheduled_at: row.scheduled_at.toISOString(),
    starting_at: iso(row.starting_at),
    started_at: iso(row.started_at),
    first_progress_at: iso(row.first_progress_at),
    stopping_at: iso(row.stopping_at),
    ended_at: iso(row.ended_at),
    outcome: row.outcome,
    failure: row.cause?.class ? toFailure(row.cause) : null,
    first_step: row.first_step,
    last_step: row.last_step,
  };
}

export function toWorkerView(row: WorkerListRow): WorkerView {
  const { incarnation: _, output_size, kept_size, ...rest } = row;
  return { ...rest, started_at: iso(row.started_at), ended_at: iso(row.ended_at), log_size: Math.max(output_size, kept_size) };
}

export function toCheckpointView(row: CheckpointListRow): z.output<typeof checkpointView> {
  return { ...row, accepted_at: row.accepted_at.toISOString(), sealed_at: iso(row.sealed_at) };
}

export function toIncidentView(row: IncidentRow): IncidentView {
  return {
    ...row,
    opened_at: row.opened_at.toISOString(),
    closed_at: iso(row.closed_at),
    evidence: row.evidence.map((one) => (typeof one === "string" ? one : JSON.stringify(one))),
  };
}

export function toTokenView(row: TokenRow): z.output<typeof tokenView> {
  return {
    id: row.id,
    subject: row.subject,
    project: row.project,
    role: row.role,
    description: row.description,
    created_at: row.created_at.toISOString(),
    expires_at: iso(row.expires_at),
    last_used_at: iso(row.last_used_at),
  };
}

export type { EventView };
