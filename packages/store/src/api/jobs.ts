import { isFinal } from "@muster/lifecycle";
import type { FailureClass, JobState, StopTarget, WaitReason } from "@muster/model";
import type { Client } from "../pool.ts";
import { jobWhere, type JobFilter } from "./job-filter.ts";

/** A job with what lists and pages show beside it. */
export interface JobListRow {
  id: string;
  name: string;
  project: string;
  queue: string;
  submitter: string;
  labels: Record<string, string>;
  description: string | null;
  priority_class: string;
  preemptible: boolean;
  array_id: string | null;
  array_index: number | null;
  nodes: number;
  devices: number;
  state: JobState;
  state_since: Date;
  stop_target: StopTarget | null;
  stop_reason: string | null;
  conditions: string[];
  incarnation: string;
  attempt: number;
  variant: number | null;
  wait_reason: WaitReason | null;
  wait_since: Date | null;
  not_before: Date | null;
  user_failures: number;
  infrastructure_failures: number;
  unknown_failures: number;
  max_restarts: number;
  failure: JobFailure | null;
  ran_seconds: number;
  submitted_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
  version: number;
  workers_running: number;
  workers_total: number;
  pools: string[] | null;
  /** Seconds that the current attempt has been running. */
  running_seconds: number;
  progress: {
    attempt: number;
    step: number | null;
    total: number | null;
    loss: number | null;
    rate: number | null;
    seconds_left: number | null;
    phase: string | null;
    at: string;
  } | null;
  checkpoint: { step: number; attempt: number; at: string; path: string } | null;
}

export interface JobFailure {
  class: FailureClass;
  rule: string;
  message: string;
  worker: string | null;
  node: string | null;
  exit_code: number | null;
  signal: string | null;
  evidence: string[];
}

const DETAILS = `
  SELECT j.id, j.name, j.project, j.queue, j.submitter, j.labels, s.resolved->>'description' AS description, j.priority_class,
    j.preemptible, j.array_id, j.array_index, j.nodes, j.devices, j.state, j.state_since, j.stop_target, j.stop_reason, j.conditions,
    j.incarnation::text, j.attempt, j.variant, j.wait_reason, j.wait_since, j.not_before, j.user_failures, j.infrastructure_failures,
    j.unknown_failures, coalesce((s.resolved#>>'{recovery,max_restarts}')::int, 0) AS max_restarts, j.failure, j.ran_seconds,
    j.submitted_at, j.started_at, j.finished_at, j.version,
    coalesce(w.running, 0)::int AS workers_running, coalesce(w.total, 0)::int AS workers_total, w.pools,
    coalesce(CASE WHEN a.state IN ('running', 'stopping') THEN extract(epoch FROM now() - a.started_at) END, 0)::float8 AS running_seconds,
    CASE WHEN p.job IS NOT NULL THEN jsonb_build_object('attempt', p.attempt, 'step', p.step, 'total', p.total, 'loss', p.loss,
      'rate', p.rate, 'phase', p.phase, 'at', p.at, 'seconds_left', CASE WHEN j.state = 'running' AND p.attempt = a.number THEN
        (CASE WHEN p.total >= a.last_step THEN p.total - a.last_step END * extract(epoch FROM a.last_step_at - a.first_progress_at) / nullif(a.last_step - a.first_step, 0))::float8 END
      ) END AS progress,
    c.checkpoint
  FROM page j
    LEFT JOIN job_specs s ON s.job = j.id
    LEFT JOIN progress p ON p.job = j.id
    LEFT JOIN attempts a ON a.job = j.id AND a.incarnation = j.incarnation AND a.number = j.attempt
    LEFT JOIN LATERAL (
      SELECT count(*) FILTER (WHERE w.state = 'running') AS running, count(*) AS total, array_agg(DISTINCT n.pool) FILTER (WHERE n.pool IS NOT NULL) AS pools
      FROM workers w LEFT JOIN nodes n ON n.name = w.node
      WHERE w.job = j.id AND w.incarnation = j.incarnation AND w.attempt = j.attempt) w ON j.attempt > 0
    LEFT JOIN LATERAL (
      SELECT jsonb_build_object('step', c.step, 'attempt', c.attempt, 'at', c.accepted_at, 'path', coalesce(c.sealed_path, c.path)) AS checkpoint
      FROM checkpoints c WHERE c.job = j.id ORDER BY c.id DESC LIMIT 1) c ON true`;

/** One page of jobs. `after` is the id that the page before ended with. */
export async function listJobs(
  client: Client,
  filter: JobFilter,
  page: { newestFirst: boolean; after?: string | undefined; limit: number },
): Promise<JobListRow[]> {
  const direction = page.newestFirst ? "DESC" : "ASC";
  const where = jobWhere(filter);
  const values = [...where.values, page.limit];
  const limit = `$${values.length}`;
  let beyond = "";
  if (page.after !== undefined) {
    values.push(page.after);
    beyond = `AND j.id ${page.newestFirst ? "<" : ">"} $${values.length}`;
  }
  const { rows } = await client.query<JobListRow>({
    text: `WITH page AS MATERIALIZED (SELECT j.* FROM jobs j WHERE ${where.text} ${beyond} ORDER BY j.id ${direction} LIMIT ${limit})
      ${DETAILS} ORDER BY j.id ${direction}`,
    values,
  });
  return rows;
}

export async function getJob(client: Client, id: string): Promise<JobListRow | undefined> {
  const { rows } = await client.query<JobListRow>({
    name: "api-get-job",
    text: `WITH page AS MATERIALIZED (SELECT * FROM jobs WHERE id = $1) ${DETAILS}`,
    values: [id],
  });
  return rows[0];
}

/** Jobs of the given ids, in no order. */
export async function getJobs(client: Client, ids: readonly string[]): Promise<JobListRow[]> {
  const { rows } = await client.query<JobListRow>({
    name: "api-get-jobs",
    text: `WITH page AS MATERIALIZED (SELECT * FROM jobs WHERE id = ANY($1::text[])) ${DETAILS}`,
    values: [ids],
  });
  return rows;
}

export interface JobPlaceRow {
  id: string;
  project: string;
  submitter: string;
  state: JobState;
  incarnation: string;
  attempt: number;
  array_id: string | null;
}

/** What access is decided by; cheap. */
export async function getJobPlace(client: Client, id: string): Promise<JobPlaceRow | undefined> {
  const { rows } = await client.query<JobPlaceRow>({
    name: "api-job-place",
    text: "SELECT id, project, submitter, state, incarnation::text, attempt, array_id FROM jobs WHERE id = $1",
    values: [id],
  });
  return rows[0];
}

export const SUMMARY_GROUPS = {
  state: "j.state",
  reason: "CASE WHEN j.state = 'queued' THEN j.wait_reason END",
  queue: "j.queue",
  project: "j.project",
  submitter: "j.submitter",
  priority: "j.priority_class",
} as const;
export type SummaryGroup = keyof typeof SUMMARY_GROUPS;

/** Finished jobs as they are counted: rows that look like jobs to a filter by what they are counted by. */
const COUNTED = "(SELECT *, state AS final, 'infinity'::timestamptz AS finished_at, NULL::text AS wait_reason FROM finished_jobs) j";

/** Jobs and devices counted by group, over the same filter as the list. */
export async function summarizeJobs(
  client: Client,
  filter: JobFilter,
  by: readonly SummaryGroup[],
): Promise<{ key: Record<string, string | null>; jobs: number; devices: number }[]> {
  const where = jobWhere(filter);
  const columns = by.map((group) => `${SUMMARY_GROUPS[group]} AS "${group}"`);
  const grouped = by.length > 0 ? `GROUP BY ${by.map((_, index) => index + 1).join(", ")}` : "";
  const part = (jobs: string, devices: string, from: string): string =>
    `SELECT ${[...columns, `${jobs} AS jobs`, `${devices} AS devices`].join(", ")} FROM ${from} ${grouped}`;
  const { read, counted } = sourcesOf(filter);
  const parts = [];
  if (read !== "none") parts.push(part("count(*)", "sum(j.devices)", `jobs j WHERE ${where.text}${read === "live" ? " AND j.finished_at IS NULL" : ""}`));
  if (counted) parts.push(part("sum(j.jobs)", "sum(j.devices)", `${COUNTED} WHERE ${where.text}`));
  const { rows } = await client.query<Record<string, string | number | null>>({
    text: `SELECT ${[...by.map((group) => `"${group}"`), "coalesce(sum(jobs), 0)::int8 AS jobs", "coalesce(sum(devices), 0)::int8 AS devices"].join(", ")}
      FROM (${parts.join(" UNION ALL ")}) AS parts ${grouped} ${by.length > 0 ? "HAVING sum(jobs) > 0 ORDER BY jobs DESC" : ""}`,
    values: where.values,
  });
  return rows.map((row) => ({
    key: Object.fromEntries(by.map((group) => [group, (row[group] as string | null) ?? null])),
    jobs: Number(row["jobs"]),
    devices: Number(row["devices"]),
  }));
}

/** Which jobs must be read, and whether finished ones are counted: not where a filter asks for what they aren't counted by. */
function sourcesOf({ states, active, namePrefix, labels, reason, array, node, fromId }: JobFilter): { read: "all" | "live" | "none"; counted: boolean } {
  if (namePrefix || Object.keys(labels ?? {}).length > 0 || [reason, array, node, fromId].some((one) => one !== undefined))
    return { read: "all", counted: false };
  const asked = (final: boolean): boolean => active !== final && (states?.some((state) => isFinal(state as JobState) === final) ?? true);
  const counted = asked(true);
  return { read: asked(false) || !counted ? "live" : "none", counted };
}

export interface JobSpecRow {
  submitted: unknown;
  resolved: unknown;
  source_commit: string | null;
}

/** The spec of a job; the elements of an array share what the first one was submitted with. */
export async function getJobSpec(client: Client, id: string): Promise<JobSpecRow | undefined> {
  const { rows } = await client.query<JobSpecRow>({
    name: "api-job-spec",
    text: `SELECT coalesce(first.submitted, s.submitted) AS submitted, s.resolved, s.source_commit
      FROM job_specs s JOIN jobs j ON j.id = s.job LEFT JOIN job_specs first ON first.job = j.array_id AND j.array_id <> j.id
      WHERE s.job = $1`,
    values: [id],
  });
  return rows[0];
}

/** Changes a waiting job's priority if its version is still the given one. */
export async function updateJobPriority(client: Client, id: string, version: number, priority: number, priorityClass: string): Promise<boolean> {
  const { rowCount } = await client.query({
    name: "api-update-priority",
    text: "UPDATE jobs SET priority = $3, priority_class = $4, version = version + 1 WHERE id = $1 AND version = $2 AND finished_at IS NULL",
    values: [id, version, priority, priorityClass],
  });
  return rowCount === 1;
}

export async function getJobPlaces(client: Client, ids: readonly string[]): Promise<Pick<JobPlaceRow, "id" | "project">[]> {
  const { rows } = await client.query<Pick<JobPlaceRow, "id" | "project">>({
    name: "api-job-places",
    text: "SELECT id, project FROM jobs WHERE id = ANY($1::text[])",
    values: [ids],
  });
  return rows;
}
