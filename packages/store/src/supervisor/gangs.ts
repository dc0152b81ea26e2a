import type { AttemptState, JobState, StopTarget, WorkerState } from "@muster/model";
import type { Client } from "../pool.ts";
import { columns, type AttemptId } from "./attempt-key.ts";
import type { Found } from "./hangs.ts";

/** A job and one of its attempts, locked for judging. */
export interface GangRow extends AttemptId {
  project: string;
  state: JobState;
  stop_target: StopTarget | null;
  stop_reason: string | null;
  current: boolean;
  attempt_state: AttemptState;
  started_at: Date | null;
  /** Seconds since it was running, by the database's clock; null before. */
  running_for: number | null;
  ran_seconds: number;
  user_failures: number;
  infrastructure_failures: number;
  unknown_failures: number;
  previous_signature: string | null;
  previous_node: string | null;
  /** So many of its starts failed in the check before them, one after another. */
  preflights: number;
  /** It holds its nodes already. */
  holding: boolean;
  /** What was found about it before it was ended for that. */
  found: Found | null;
  time_limit: number | null;
  grace: number;
  max_restarts: number;
  rules: { match: { log?: string; exit_code?: number[]; signal?: string[] }; action: "retry" | "exclude_node" | "fail" | "ignore" | "rollback" }[];
  due: boolean;
  /** Whether it goes on without workers whose node is lost: as it says, else wherever its commits can be fenced. */
  supersedes: boolean;
}

/**
 * Locks jobs in the order of their ids. Every transaction that changes a job, its attempts or its workers locks the job first, so that
 * two of them never wait for each other, and reads what it decides on afterwards.
 */
export async function lockJobs(client: Client, ids: readonly { job: string }[]): Promise<void> {
  if (ids.length === 0) return;
  await client.query({
    name: "lock-jobs",
    text: "SELECT FROM jobs WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
    values: [[...new Set(ids.map((id) => id.job))]],
  });
}

/** Locks the jobs of these attempts and reads what they are judged by. */
export async function lockGangs(client: Client, attempts: readonly AttemptId[]): Promise<GangRow[]> {
  // of two tables read while waiting for a lock, only the locked one would be up to date
  await lockJobs(client, attempts);
  const { rows } = await client.query<GangRow>({
    name: "lock-gangs",
    text: `SELECT j.id AS job, a.incarnation::text, a.number AS attempt, j.project, j.state, j.stop_target, j.stop_reason,
        (j.incarnation, j.attempt) = (a.incarnation, a.number) AS current, a.state AS attempt_state, a.started_at,
        extract(epoch FROM now() - a.started_at)::float AS running_for, j.ran_seconds,
        j.user_failures, j.infrastructure_failures, j.unknown_failures, j.failure->>'signature' AS previous_signature, j.failure->>'node' AS previous_node, coalesce((j.failure->>'preflights')::int, 0) AS preflights, a.found, j.holding_since IS NOT NULL AS holding,
        (s.resolved->>'time_limit')::float AS time_limit, coalesce((s.resolved->'checkpoint'->>'grace')::float, 30) AS grace,
        (s.resolved->'recovery'->>'max_restarts')::int AS max_restarts, s.resolved->'recovery'->'rules' AS rules,
        coalesce(j.due_at <= now(), false) AS due,
        coalesce(s.resolved->'recovery'->>'partition',
          CASE WHEN EXISTS (SELECT FROM checkpoints c WHERE c.job = j.id AND c.seal_error IS NOT NULL)
            AND NOT EXISTS (SELECT FROM checkpoints c WHERE c.job = j.id AND c.sealed_at IS NOT NULL) THEN 'wait' ELSE 'supersede' END) = 'supersede' AS supersedes
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
        JOIN jobs j ON j.id = k.job JOIN job_specs s ON s.job = k.job
        JOIN attempts a ON (a.job, a.incarnation, a.number) = (k.job, k.incarnation, k.attempt)
      ORDER BY j.id`,
    values: columns(attempts),
  });
  return rows;
}

export interface MemberRow extends AttemptId {
  worker: string;
  node: string;
  node_rank: number;
  first_rank: number;
  state: WorkerState;
  desired: "run" | "stop" | "kill";
  exit_code: number | null;
  signal: string | null;
  oom: boolean;
  reason: string | null;
  detail: {
    tail?: string;
    ranks?: { rank: number; exitCode: number | null; signal: string | null }[];
    matched?: { id: string; line: string }[];
    refused?: string;
    stacks?: { pid: number; rank: number | null; text: string }[];
  } | null;
  ended_at: Date | null;
  node_lost: boolean;
}

export async function readMembers(client: Client, attempts: readonly AttemptId[]): Promise<MemberRow[]> {
  const { rows } = await client.query<MemberRow>({
    name: "read-members",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.worker, w.node, w.node_rank, w.first_rank, w.state, w.desired, w.exit_code, w.signal, w.oom, w.reason, w.detail, w.ended_at, n.lost_since IS NOT NULL AS node_lost
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt) JOIN workers w USING (job, incarnation, attempt) LEFT JOIN nodes n ON n.name = w.node
      ORDER BY w.job, w.ended_at NULLS LAST, w.role, w.node_rank`,
    values: columns(attempts),
  });
  return rows;
}

/** Whether these attempts brought a commit. */
export async function readCommitted(client: Client, attempts: readonly AttemptId[]): Promise<Set<string>> {
  const { rows } = await client.query<{ job: string }>({
    name: "read-committed",
    text: `SELECT k.job FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
      WHERE EXISTS (SELECT FROM checkpoints c WHERE (c.job, c.incarnation, c.attempt) = (k.job, k.incarnation, k.attempt))`,
    values: columns(attempts),
  });
  return new Set(rows.map((row) => row.job));
}

/** What judging changed of a job. Absent fields stay. */
export interface JobChange {
  job: string;
  state: JobState;
  stopTarget: StopTarget | null;
  stopReason?: string;
  /** Seconds from now until the supervisor looks again; null: no more. */
  dueIn: number | null;
  /** Seconds from now before which it isn't started. */
  notBeforeIn?: number;
  notBeforeReason?: string;
  failure?: Record<string, unknown>;
  ledgers?: { user: number; infrastructure: number; unknown: number };
  excludeNodes?: readonly string[];
  /** It holds its nodes while a replacement for others is looked for. */
  holding?: boolean;
  started?: boolean;
  finished?: boolean;
  ranSeconds?: number;
}

export async function changeJobs(client: Client, changes: readonly JobChange[]): Promise<void> {
  if (changes.length === 0) return;
  await client.query({
    name: "change-jobs",
    text: `UPDATE jobs j SET
        state = c.state, stop_target = c.stop_target, stop_reason = coalesce(c.stop_reason, CASE WHEN c.stop_target IS NOT NULL THEN j.stop_reason END),
        state_since = CASE WHEN j.state = c.state THEN j.state_since ELSE now() END, version = j.version + 1,
        due_at = now() + make_interval(secs => c.due_in),
        not_before = CASE WHEN c.not_before_in > 0 THEN now() + make_interval(secs => c.not_before_in) ELSE j.not_before END,
        not_before_reason = CASE WHEN c.not_before_in > 0 THEN c.not_before_reason ELSE j.not_before_reason END,
        failure = coalesce(c.failure, j.failure),
        user_failures = coalesce(c.user_failures, j.user_failures),
        infrastructure_failures = coalesce(c.infrastructure_failures, j.infrastructure_failures),
        unknown_failures = coalesce(c.unknown_failures, j.unknown_failures),
        excluded_nodes = j.excluded_nodes || ARRAY (SELECT n FROM jsonb_array_elements_text(c.exclude_nodes) AS n WHERE n <> ALL (j.excluded_nodes)),
        started_at = CASE WHEN c.started THEN coalesce(j.started_at, now()) ELSE j.started_at END,
        finished_at = CASE WHEN c.finished THEN now() END,
        conditions = CASE WHEN c.holding AND NOT 'holding' = ANY (j.conditions) THEN array_append(j.conditions, 'holding')
          WHEN c.state IN ('starting', 'running', 'recovering', 'stopping') THEN j.conditions ELSE '{}' END,
        holding_since = CASE WHEN c.holding THEN coalesce(j.holding_since, now()) WHEN c.state = 'recovering' THEN j.holding_since END,
        ran_seconds = j.ran_seconds + c.ran_seconds
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::float[], $6::float[], $7::text[], $8::jsonb[],
        $9::int[], $10::int[], $11::int[], $12::jsonb[], $13::bool[], $14::bool[], $15::float[], $16::bool[])
        AS c(job, state, stop_target, stop_reason, due_in, not_before_in, not_before_reason, failure,
          user_failures, infrastructure_failures, unknown_failures, exclude_nodes, started, finished, ran_seconds, holding)
      WHERE j.id = c.job`,
    values: [
      changes.map((change) => change.job),
      changes.map((change) => change.state),
      changes.map((change) => change.stopTarget),
      changes.map((change) => change.stopReason ?? null),
      changes.map((change) => change.dueIn),
      changes.map((change) => change.notBeforeIn ?? null),
      changes.map((change) => change.notBeforeReason ?? null),
      changes.map((change) => (change.failure ? JSON.stringify(change.failure) : null)),
      changes.map((change) => change.ledgers?.user ?? null),
      changes.map((change) => change.ledgers?.infrastructure ?? null),
      changes.map((change) => change.ledgers?.unknown ?? null),
      changes.map((change) => JSON.stringify(change.excludeNodes ?? [])),
      changes.map((change) => change.started ?? false),
      changes.map((change) => change.finished ?? false),
      changes.map((change) => change.ranSeconds ?? 0),
      changes.map((change) => change.holding ?? false),
    ],
  });
}

export interface AttemptChange extends AttemptId {
  state: AttemptState;
  outcome?: "succeeded" | "failed" | "stopped" | "superseded";
  failureClass?: string;
  cause?: Record<string, unknown>;
}

/** What the workers of ended attempts held is freed by `releaseEnded`, last of all. */
export async function changeAttempts(client: Client, changes: readonly AttemptChange[]): Promise<void> {
  if (changes.length === 0) return;
  await client.query({
    name: "change-attempts",
    text: `UPDATE attempts a SET state = c.state,
        starting_at = CASE WHEN c.state <> 'scheduled' THEN coalesce(a.starting_at, now()) END,
        started_at = CASE WHEN c.state = 'running' OR c.outcome = 'succeeded' THEN coalesce(a.started_at, now()) ELSE a.started_at END,
        stopping_at = CASE WHEN c.state = 'stopping' THEN coalesce(a.stopping_at, now()) ELSE a.stopping_at END,
        ended_at = CASE WHEN c.state = 'ended' THEN now() END,
        outcome = c.outcome, failure_class = coalesce(c.failure_class, a.failure_class), cause = coalesce(c.cause, a.cause)
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
        AS c(job, incarnation, attempt, state, outcome, failure_class, cause)
      WHERE (a.job, a.incarnation, a.number) = (c.job, c.incarnation, c.attempt)`,
    values: [
      ...columns(changes),
      changes.map((change) => change.state),
      changes.map((change) => change.outcome ?? null),
      changes.map((change) => change.failureClass ?? null),
      changes.map((change) => (change.cause ? JSON.stringify(change.cause) : null)),
    ],
  });
}

/**
 * Frees what the workers of these attempts held, of those that are confirmed dead. It locks what is held of their nodes until the
 * transaction ends, so little should come after it. Returns the attempts that gave something back.
 */
export async function releaseEnded(client: Client, attempts: readonly AttemptId[]): Promise<AttemptId[]> {
  if (attempts.length === 0) return [];
  const { rows } = await client.query<AttemptId>({
    name: "release-ended",
    text: `UPDATE workers w SET released = true FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
      WHERE (w.job, w.incarnation, w.attempt) = (k.job, k.incarnation, k.attempt) AND NOT w.released AND w.state IN ('exited', 'lost')
      RETURNING w.job, w.incarnation::text, w.attempt`,
    values: columns(attempts),
  });
  return rows;
}

/** Attempts that are being stopped with no worker left alive, and jobs whose time has come: what no observation will bring up. Jobs that hold their nodes as well where their time comes within so many seconds. */
export async function readUnsettled(client: Client, limit: number, holding: number): Promise<AttemptId[]> {
  const { rows } = await client.query<AttemptId>({
    name: "read-unsettled",
    text: `(SELECT a.job, a.incarnation::text, a.number AS attempt FROM attempts a
        WHERE a.state = 'stopping' AND NOT EXISTS (SELECT FROM workers w
          WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number) AND w.state NOT IN ('exited', 'lost'))
          AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = a.job AND j.state = 'recovering' AND j.holding_since IS NOT NULL) LIMIT $1)
      UNION ALL
      (SELECT j.id, j.incarnation::text, j.attempt FROM jobs j
        WHERE j.due_at <= now() + make_interval(secs => $2) AND (j.due_at <= now() OR j.holding_since IS NOT NULL AND j.state = 'recovering')
          AND j.attempt > 0 AND j.state IN ('running', 'recovering') LIMIT $1)`,
    values: [limit, holding],
  });
  return rows;
}
