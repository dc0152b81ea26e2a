import type { AttemptState, WorkerState } from "@muster/model";
import type { Client } from "../pool.ts";
import type { JobFailure } from "./jobs.ts";

export interface AttemptListRow {
  job: string;
  number: number;
  incarnation: string;
  state: AttemptState;
  variant: number;
  gang: number;
  nodes: string[] | null;
  resume_reason: string | null;
  resumed_from_step: number | null;
  scheduled_at: Date;
  starting_at: Date | null;
  started_at: Date | null;
  first_progress_at: Date | null;
  stopping_at: Date | null;
  ended_at: Date | null;
  outcome: "succeeded" | "failed" | "stopped" | "superseded" | null;
  cause: Partial<JobFailure> | null;
  failure_class: string | null;
  first_step: number | null;
  last_step: number | null;
}

/** The attempts of a job, newest first. */
export async function listAttempts(client: Client, job: string, from: number, limit: number): Promise<AttemptListRow[]> {
  const { rows } = await client.query<AttemptListRow>({
    name: "api-attempts",
    text: `SELECT a.job, a.number, a.incarnation::text, a.state, a.variant, a.gang, w.nodes, a.resume_reason, c.step AS resumed_from_step,
        a.scheduled_at, a.starting_at, a.started_at, a.first_progress_at, a.stopping_at, a.ended_at, a.outcome, a.cause, a.failure_class,
        a.first_step, a.last_step
      FROM attempts a LEFT JOIN checkpoints c ON c.id = a.resume_checkpoint
        LEFT JOIN LATERAL (SELECT array_agg(DISTINCT w.node) AS nodes FROM workers w
          WHERE w.job = a.job AND w.incarnation = a.incarnation AND w.attempt = a.number) w ON true
      WHERE a.job = $1 ORDER BY a.incarnation DESC, a.number DESC LIMIT $2 OFFSET $3`,
    values: [job, limit, from],
  });
  return rows;
}

export interface WorkerListRow {
  job: string;
  incarnation: string;
  attempt: number;
  worker: string;
  role: string;
  node_rank: number;
  first_rank: number;
  ranks: number;
  node: string;
  devices: number[];
  share: number;
  state: WorkerState;
  desired: "run" | "stop" | "kill";
  exit_code: number | null;
  signal: string | null;
  oom: boolean;
  reason: string | null;
  started_at: Date | null;
  ended_at: Date | null;
  output_size: number;
  kept_size: number;
}

/** Workers of one attempt in rank order; of the newest attempt where none is named. */
export async function listWorkers(client: Client, job: string, attempt: number | null, from: number, limit: number): Promise<WorkerListRow[]> {
  const { rows } = await client.query<WorkerListRow>({
    name: "api-workers",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.worker, w.role, w.node_rank, w.first_rank, w.ranks, w.node, w.devices, w.share,
        w.state, w.desired, w.exit_code, w.signal, w.oom, w.reason, w.started_at, w.ended_at, w.output_size, w.kept_size
      FROM workers w JOIN (SELECT a.incarnation, a.number FROM attempts a WHERE a.job = $1 AND ($2::int IS NULL OR a.number = $2)
        ORDER BY a.incarnation DESC, a.number DESC LIMIT 1) a ON w.incarnation = a.incarnation AND w.attempt = a.number
      WHERE w.job = $1 ORDER BY w.role, w.first_rank, w.node_rank LIMIT $3 OFFSET $4`,
    values: [job, attempt, limit, from],
  });
  return rows;
}

/** Whether an attempt has ended, and how much of a worker's output is kept; undefined where there is no such worker. */
export async function getLogState(
  client: Client,
  job: string,
  incarnation: string,
  attempt: number,
  worker: string,
): Promise<{ ended: boolean; output_size: number; kept_size: number } | undefined> {
  const { rows } = await client.query<{ ended: boolean; output_size: number; kept_size: number }>({
    name: "api-log-state",
    text: `SELECT w.released AND w.ended_at IS NOT NULL AS ended, w.output_size, w.kept_size FROM workers w
      WHERE w.job = $1 AND w.incarnation = $2 AND w.attempt = $3 AND w.worker = $4`,
    values: [job, incarnation, attempt, worker],
  });
  return rows[0];
}

export interface CheckpointListRow {
  id: number;
  job: string;
  attempt: number;
  generation: number;
  step: number;
  path: string;
  sealed_path: string | null;
  accepted_at: Date;
  sealed_at: Date | null;
  seal_error: string | null;
  pruned: boolean;
}

const CHECKPOINT = "id, job, attempt, generation, step, path, sealed_path, accepted_at, sealed_at, seal_error, pruned";

/** Accepted commits of a job, newest first. */
export async function listCheckpoints(client: Client, job: string, limit: number, before: number | null): Promise<CheckpointListRow[]> {
  const { rows } = await client.query<CheckpointListRow>({
    name: "api-checkpoints",
    text: `SELECT ${CHECKPOINT} FROM checkpoints WHERE job = $1 AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $2`,
    values: [job, limit, before],
  });
  return rows;
}

export interface Commit {
  job: string;
  incarnation: string;
  attempt: number;
  generation: number;
  step: number;
  path: string;
}

/**
 * Locks a job's row, so that no newer attempt opens and no other commit is judged before this transaction ends.
 * Must come before `acceptCheckpoint`, in a statement of its own: only a later statement sees what committed while it waited.
 */
export async function lockJob(client: Client, job: string): Promise<void> {
  await client.query({ name: "api-lock-job", text: "SELECT FROM jobs WHERE id = $1 FOR NO KEY UPDATE", values: [job] });
}

/** Accepts a commit while its attempt is current and no newer generation of it has committed; the same commit again changes nothing. */
export async function acceptCheckpoint(client: Client, commit: Commit): Promise<CheckpointListRow | undefined> {
  const { rows } = await client.query<CheckpointListRow>({
    name: "api-accept-checkpoint",
    text: `INSERT INTO checkpoints (job, incarnation, attempt, generation, step, path, worker)
      SELECT $1, $2, $3, $4, $5, $6, (SELECT w.worker FROM workers w WHERE w.job = $1 AND w.incarnation = $2 AND w.attempt = $3 ORDER BY w.first_rank, w.role LIMIT 1)
      WHERE EXISTS (SELECT FROM jobs j JOIN attempts a ON a.job = j.id AND a.incarnation = j.incarnation AND a.number = j.attempt
          WHERE j.id = $1 AND j.incarnation = $2 AND j.attempt = $3 AND j.finished_at IS NULL AND a.state <> 'ended')
        AND NOT EXISTS (SELECT FROM checkpoints c WHERE c.job = $1 AND c.incarnation = $2 AND c.attempt = $3 AND c.generation > $4)
      ON CONFLICT (job, incarnation, attempt, generation, step) DO NOTHING
      RETURNING ${CHECKPOINT}`,
    values: [commit.job, commit.incarnation, commit.attempt, commit.generation, commit.step, commit.path],
  });
  if (rows[0])
    await client.query({
      name: "api-note-commit",
      text: "UPDATE progress SET commit_at = now() WHERE job = $1 AND attempt = $2",
      values: [commit.job, commit.attempt],
    });
  return rows[0];
}

/** What the last commits of a job cost it, in seconds, and how often it is to make one. */
export async function readCommitCosts(client: Client, job: string): Promise<{ costs: number[]; interval: number | null }> {
  const { rows } = await client.query<{ costs: number[]; interval: number | null }>({
    name: "api-commit-costs",
    text: `SELECT coalesce(p.commit_costs, '{}') AS costs, (s.resolved->'checkpoint'->>'interval')::float8 AS interval
      FROM job_specs s LEFT JOIN progress p ON p.job = s.job WHERE s.job = $1`,
    values: [job],
  });
  return rows[0] ?? { costs: [], interval: null };
}

/** The same commit, if it was accepted before. */
export async function findCheckpoint(
  client: Client,
  commit: Pick<Commit, "job" | "incarnation" | "attempt" | "generation" | "step">,
): Promise<CheckpointListRow | undefined> {
  const { rows } = await client.query<CheckpointListRow>({
    name: "api-find-checkpoint",
    text: `SELECT ${CHECKPOINT} FROM checkpoints WHERE job = $1 AND incarnation = $2 AND attempt = $3 AND generation = $4 AND step = $5`,
    values: [commit.job, commit.incarnation, commit.attempt, commit.generation, commit.step],
  });
  return rows[0];
}

export interface CommitPlace {
  project: string;
  current: boolean;
  newest_generation: number | null;
  checkpoint_dir: string | null;
}

/** What tells why a commit was not accepted, and where it must lie. */
export async function getCommitPlace(client: Client, commit: Pick<Commit, "job" | "incarnation" | "attempt">): Promise<CommitPlace | undefined> {
  const { rows } = await client.query<CommitPlace>({
    name: "api-commit-place",
    text: `SELECT j.project, (j.incarnation = $2 AND j.attempt = $3 AND j.finished_at IS NULL AND a.state IS NOT NULL AND a.state <> 'ended') AS current,
        (SELECT max(c.generation) FROM checkpoints c WHERE c.job = $1 AND c.incarnation = $2 AND c.attempt = $3) AS newest_generation,
        s.resolved#>>'{checkpoint,dir}' AS checkpoint_dir
      FROM jobs j LEFT JOIN job_specs s ON s.job = j.id LEFT JOIN attempts a ON a.job = $1 AND a.incarnation = $2 AND a.number = $3
      WHERE j.id = $1`,
    values: [commit.job, commit.incarnation, commit.attempt],
  });
  return rows[0];
}
