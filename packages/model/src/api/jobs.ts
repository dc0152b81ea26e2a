import { z } from "zod";
import { instant } from "../units.ts";
import { FAILURE_CLASSES, JOB_STATES, STOP_TARGETS, WAIT_REASONS } from "../words.ts";
import { time, page } from "./fields.ts";

export const progressView = z.object({
  attempt: z.int(),
  step: z.int().nullable(),
  total: z.int().nullable(),
  loss: z.number().nullable(),
  /** Steps a second, or whatever the job reports. */
  rate: z.number().nullable(),
  seconds_left: z.number().nullable().optional().describe("to the last step, at the pace of this attempt so far; null while that is not known"),
  phase: z.string().nullable(),
  at: time,
});

export const failureView = z.object({
  class: z.enum(FAILURE_CLASSES),
  rule: z.string(),
  message: z.string(),
  worker: z.string().nullable(),
  node: z.string().nullable(),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  evidence: z.array(z.string()),
});

/** What a job's time and steps went into; null until it has started once, and in lists. */
export const accountingView = z
  .object({
    ettr: z.number().nullable().describe("productive time over wall time since the first start"),
    goodput: z.number().nullable().describe("steps kept over steps done"),
    steps: z.object({ done: z.int(), kept: z.int() }),
    productive_seconds: z.number(),
    wall_seconds: z.number(),
    wasted_device_hours: z.record(z.string(), z.number()).describe("by what caused it; start is the first start"),
  })
  .meta({ id: "Accounting" });

/** What checkpoints cost a job, and how often it should make one. */
export const checkpointingView = z
  .object({
    interval_seconds: z.number().nullable().describe("checkpoint.interval of the job; null: it doesn't say"),
    suggested_interval_seconds: z
      .number()
      .describe("at which least time is lost, by Young (1974) and Daly (2006): the root of twice the cost times the mean time between failures"),
    cost_seconds: z.number().describe("by which steps with a commit among them took longer than others; the median of the last ones"),
    measured: z.int().describe("commits that this was measured on, at most 10"),
    mean_time_to_failure_seconds: z
      .number()
      .describe("of the job, from failures of its pool's nodes within 28 days; what is published counts as 100 node-days"),
  })
  .meta({ id: "Checkpointing" });

export const jobView = z
  .object({
    id: z.string(),
    name: z.string(),
    project: z.string(),
    queue: z.string(),
    submitter: z.string(),
    labels: z.record(z.string(), z.string()),
    description: z.string().nullable(),
    priority: z.string(),
    preemptible: z.boolean(),
    array: z.object({ id: z.string(), index: z.int() }).nullable(),
    nodes: z.int(),
    devices: z.int(),
    state: z.enum(JOB_STATES),
    state_since: time,
    stopping: z.object({ target: z.enum(STOP_TARGETS), reason: z.string() }).nullable(),
    conditions: z.array(z.string()),
    /** Workers up of workers in all, of the current attempt. */
    workers: z.object({ running: z.int(), total: z.int() }).nullable(),
    attempt: z.int(),
    variant: z.int().nullable(),
    pools: z.array(z.string()),
    wait_reason: z.enum(WAIT_REASONS).nullable(),
    not_before: time.nullable(),
    progress: progressView.nullable(),
    latest_checkpoint: z.object({ step: z.int(), attempt: z.int(), at: time, path: z.string() }).nullable(),
    restarts: z.object({ user: z.int(), infrastructure: z.int(), unknown: z.int(), max_user: z.int() }),
    failure: failureView.nullable(),
    submitted_at: time,
    started_at: time.nullable(),
    finished_at: time.nullable(),
    run_seconds: z.number(),
    accounting: accountingView.nullish(),
    checkpointing: checkpointingView.nullish().describe("null before a checkpoint's cost was measured, and in lists"),
    version: z.int(),
  })
  .meta({ id: "Job" });
export type JobView = z.output<typeof jobView>;

export const jobPage = page(jobView);
export const jobSummary = z.object({ groups: z.array(z.object({ key: z.record(z.string(), z.string().nullable()), jobs: z.int(), devices: z.int() })) });

export const jobListQuery = z.object({
  state: z.string().optional().describe("one or more states, joined by commas"),
  queue: z.string().optional(),
  project: z.string().optional(),
  submitter: z.string().optional(),
  name: z.string().optional().describe("a prefix of the name"),
  label: z.string().optional().describe("key=value, several joined by commas"),
  reason: z.enum(WAIT_REASONS).optional(),
  array: z.string().optional(),
  node: z.string().optional().describe("jobs with a worker on this node now"),
  active: z.stringbool().optional().describe("only jobs not finished (true) or finished (false)"),
  submitted_since: instant.optional(),
  sort: z.enum(["-submitted_at", "submitted_at"]).default("-submitted_at"),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(512).optional(),
});
