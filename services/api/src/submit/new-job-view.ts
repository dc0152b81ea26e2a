import type { JobView, ResolvedJobSpec } from "@muster/model";
import type { NewJob } from "@muster/store";

/** A job as it is in the moment of its submission, told without asking the database. */
export function newJobView(job: NewJob, at: Date): JobView {
  const { description, recovery } = JSON.parse(job.resolved) as ResolvedJobSpec;
  const time = at.toISOString();
  return {
    id: job.id,
    name: job.name,
    project: job.project,
    queue: job.queue,
    submitter: job.submitter,
    labels: job.labels,
    description: description ?? null,
    priority: job.priorityClass,
    preemptible: job.preemptible,
    array: job.arrayId === null ? null : { id: job.arrayId, index: job.arrayIndex ?? 0 },
    nodes: job.nodes,
    devices: job.devices,
    state: job.held ? "held" : "queued",
    state_since: time,
    stopping: null,
    conditions: [],
    workers: null,
    attempt: 0,
    variant: null,
    pools: [],
    wait_reason: job.held ? "held" : job.unmetDependencies > 0 ? "dependency" : "pending_evaluation",
    not_before: job.notBefore === null ? null : new Date(job.notBefore).toISOString(),
    progress: null,
    latest_checkpoint: null,
    restarts: { user: 0, infrastructure: 0, unknown: 0, max_user: recovery.max_restarts },
    failure: null,
    submitted_at: time,
    started_at: null,
    finished_at: null,
    run_seconds: 0,
    accounting: null,
    checkpointing: null,
    version: 1,
  };
}
