import { z } from "zod";
import { ATTEMPT_STATES, WORKER_STATES } from "../words.ts";
import { time } from "./fields.ts";
import { failureView } from "./jobs.ts";

export const attemptView = z
  .object({
    job: z.string(),
    number: z.int(),
    incarnation: z.string(),
    state: z.enum(ATTEMPT_STATES),
    variant: z.int(),
    workers: z.int(),
    nodes: z.array(z.string()),
    resume_reason: z.string().nullable(),
    resumed_from_step: z.int().nullable(),
    scheduled_at: time,
    starting_at: time.nullable(),
    started_at: time.nullable(),
    first_progress_at: time.nullable(),
    stopping_at: time.nullable(),
    ended_at: time.nullable(),
    outcome: z.enum(["succeeded", "failed", "stopped", "superseded"]).nullable(),
    failure: failureView.nullable(),
    first_step: z.int().nullable(),
    last_step: z.int().nullable(),
  })
  .meta({ id: "Attempt" });
export type AttemptView = z.output<typeof attemptView>;

export const workerView = z
  .object({
    job: z.string(),
    attempt: z.int(),
    worker: z.string(),
    role: z.string(),
    node_rank: z.int(),
    first_rank: z.int(),
    ranks: z.int(),
    node: z.string(),
    devices: z.array(z.int()),
    share: z.int(),
    state: z.enum(WORKER_STATES),
    desired: z.enum(["run", "stop", "kill"]),
    exit_code: z.int().nullable(),
    signal: z.string().nullable(),
    oom: z.boolean(),
    reason: z.string().nullable(),
    started_at: time.nullable(),
    ended_at: time.nullable(),
    log_size: z.int(),
  })
  .meta({ id: "Worker" });
export type WorkerView = z.output<typeof workerView>;

export const checkpointView = z
  .object({
    id: z.int(),
    job: z.string(),
    attempt: z.int(),
    generation: z.int(),
    step: z.int(),
    path: z.string(),
    sealed_path: z.string().nullable(),
    accepted_at: time,
    sealed_at: time.nullable(),
    seal_error: z.string().nullable(),
    pruned: z.boolean(),
  })
  .meta({ id: "Checkpoint" });
export const commitBody = z.strictObject({ step: z.int().min(0), path: z.string().min(1).max(4096), generation: z.int().min(0).default(0) });
