import type { Client } from "../pool.ts";
import { columns, type AttemptId, type WorkerId } from "./attempt-key.ts";

/**
 * How many of the observations that wait one transaction records: not all of many that came together, so that who waits for the first
 * doesn't wait for the last, and more the more there are, as a transaction costs something by itself.
 */
export function observationsAtOnce(waiting: number): number {
  return Math.min(256, Math.max(64, Math.ceil(waiting / 4)));
}

/** What an engine reported of a worker's life. */
export interface WorkerFact extends WorkerId {
  state: "running" | "exited" | "lost";
  exitCode: number | null;
  signal: string | null;
  oom: boolean;
  reason: string | null;
  detail: Record<string, unknown> | null;
}

/**
 * Records facts; what was already over stays as it was, and what was never handed over can't have started. Returns the
 * attempts that changed.
 */
export async function recordFacts(client: Client, facts: readonly WorkerFact[]): Promise<AttemptId[]> {
  if (facts.length === 0) return [];
  const { rows } = await client.query<AttemptId>({
    name: "record-facts",
    text: `UPDATE workers w SET state = f.state, exit_code = f.exit_code, signal = f.signal, oom = f.oom, reason = coalesce(f.reason, w.reason),
        detail = CASE WHEN f.detail IS NULL THEN w.detail ELSE coalesce(w.detail, '{}') || f.detail END,
        started_at = CASE WHEN f.state = 'lost' AND w.state IN ('pending', 'starting') THEN w.started_at ELSE coalesce(w.started_at, now()) END,
        ended_at = CASE WHEN f.state IN ('exited', 'lost') THEN now() END,
        todo = CASE WHEN f.state IN ('exited', 'lost') THEN false ELSE w.todo END
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::int[], $7::text[], $8::bool[], $9::text[], $10::jsonb[])
        AS f(job, incarnation, attempt, worker, state, exit_code, signal, oom, reason, detail)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (f.job, f.incarnation, f.attempt, f.worker)
        AND w.state NOT IN ('exited', 'lost') AND (w.state = 'starting' OR f.state <> 'running')
      RETURNING w.job, w.incarnation::text, w.attempt`,
    values: [
      ...columns(facts),
      facts.map((fact) => fact.worker),
      facts.map((fact) => fact.state),
      facts.map((fact) => fact.exitCode),
      facts.map((fact) => fact.signal),
      facts.map((fact) => fact.oom),
      facts.map((fact) => fact.reason),
      facts.map((fact) => (fact.detail ? JSON.stringify(fact.detail) : null)),
    ],
  });
  return rows;
}

/** A rule's pattern was seen in a worker's output. */
export async function recordMatches(client: Client, matches: readonly (WorkerId & { id: string; line: string })[]): Promise<void> {
  if (matches.length === 0) return;
  await client.query({
    name: "record-matches",
    text: `UPDATE workers w SET detail = jsonb_set(coalesce(w.detail, '{}'), '{matched}', coalesce(w.detail->'matched', '[]') || m.matched)
      FROM (SELECT job, incarnation, attempt, worker, jsonb_agg(jsonb_build_object('id', id, 'line', line)) AS matched
        FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::text[]) AS k(job, incarnation, attempt, worker, id, line)
        GROUP BY 1, 2, 3, 4) m
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (m.job, m.incarnation, m.attempt, m.worker)`,
    values: [...columns(matches), matches.map((match) => match.worker), matches.map((match) => match.id), matches.map((match) => match.line)],
  });
}

/** What a worker's processes were doing before they were killed. */
export async function recordStacks(client: Client, stacks: readonly (WorkerId & { stacks: unknown[] })[]): Promise<void> {
  if (stacks.length === 0) return;
  await client.query({
    name: "record-stacks",
    text: `UPDATE workers w SET detail = coalesce(w.detail, '{}') || jsonb_build_object('stacks', k.stacks)
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::jsonb[]) AS k(job, incarnation, attempt, worker, stacks)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker)`,
    values: [...columns(stacks), stacks.map((one) => one.worker), stacks.map((one) => JSON.stringify(one.stacks))],
  });
}

export interface ProgressFact extends AttemptId {
  step: number | null;
  total: number | null;
  loss: number | null;
  /** The newest loss was no number. */
  lossIsNaN: boolean;
  rate: number | null;
  phase: string | null;
}

/** Times between rises of the step, and losses, that are kept of a job. */
const KEPT_INTERVALS = 50;
const KEPT_LOSSES = 20;
/** What commits cost is kept of the last ones, and measured only once the pace of steps is known. */
const KEPT_COSTS = 10;
const PACE_KNOWN = 5;

/** Records progress of current attempts. Returns those whose first progress this is. */
export async function recordProgress(client: Client, facts: readonly ProgressFact[]): Promise<(AttemptId & { project: string; step: number | null })[]> {
  if (facts.length === 0) return [];
  const values = [
    ...columns(facts),
    facts.map((fact) => fact.step),
    facts.map((fact) => fact.total),
    facts.map((fact) => fact.loss),
    facts.map((fact) => fact.rate),
    facts.map((fact) => fact.phase),
    facts.map((fact) => (fact.lossIsNaN ? NaN : fact.loss)),
  ];
  await client.query({
    name: "record-progress",
    text: `INSERT INTO progress AS p (job, attempt, step, total, loss, rate, phase, step_at, losses)
      SELECT f.job, f.attempt, f.step, f.total, f.loss, f.rate, f.phase, CASE WHEN f.step IS NOT NULL THEN now() END, array_remove(ARRAY[f.newest_loss], NULL)
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[], $5::bigint[], $6::float[], $7::float[], $8::text[], $9::float[])
        AS f(job, incarnation, attempt, step, total, loss, rate, phase, newest_loss)
        JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (f.job, f.incarnation, f.attempt)
      ON CONFLICT (job) DO UPDATE SET attempt = excluded.attempt, step = coalesce(excluded.step, p.step), total = coalesce(excluded.total, p.total),
        loss = coalesce(excluded.loss, p.loss), rate = coalesce(excluded.rate, p.rate), phase = excluded.phase, at = now(),
        losses = CASE WHEN excluded.attempt = p.attempt THEN (excluded.losses || p.losses)[1:${KEPT_LOSSES}] ELSE excluded.losses END,
        step_at = CASE WHEN excluded.attempt <> p.attempt OR excluded.step > coalesce(p.step, -1) THEN excluded.step_at ELSE p.step_at END,
        intervals = CASE WHEN excluded.attempt = p.attempt AND excluded.step > p.step AND p.step_at IS NOT NULL
          THEN (extract(epoch FROM now() - p.step_at)::float8 || p.intervals)[1:${KEPT_INTERVALS}] ELSE p.intervals END,
        commit_at = CASE WHEN excluded.attempt = p.attempt AND NOT excluded.step > p.step THEN p.commit_at END,
        commit_costs = CASE WHEN excluded.attempt = p.attempt AND excluded.step > p.step AND p.commit_at > p.step_at AND cardinality(p.intervals) >= ${PACE_KNOWN}
          THEN (greatest(0, extract(epoch FROM now() - p.step_at)::float8 - (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i) FROM unnest(p.intervals) AS i)) || p.commit_costs)[1:${KEPT_COSTS}]
          ELSE p.commit_costs END`,
    values,
  });
  const { rows } = await client.query<AttemptId & { project: string; step: number | null }>({
    name: "record-first-progress",
    text: `WITH seen AS (
        UPDATE attempts a SET first_progress_at = coalesce(a.first_progress_at, now()), first_step = coalesce(a.first_step, f.step), last_step = coalesce(f.step, a.last_step),
          last_step_at = CASE WHEN f.step IS DISTINCT FROM a.last_step THEN now() ELSE a.last_step_at END
        FROM unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[]) AS f(job, incarnation, attempt, step), attempts old
        WHERE (a.job, a.incarnation, a.number) = (f.job, f.incarnation, f.attempt) AND (old.job, old.incarnation, old.number) = (a.job, a.incarnation, a.number)
        RETURNING a.job, a.incarnation, a.number, f.step, old.first_progress_at IS NULL AS first
      )
      SELECT seen.job, seen.incarnation::text, seen.number AS attempt, j.project, seen.step FROM seen JOIN jobs j ON j.id = seen.job WHERE seen.first`,
    values: values.slice(0, 4),
  });
  return rows;
}

export interface CommitFact extends WorkerId {
  generation: number;
  step: number;
  path: string;
}

/**
 * Accepts commits of attempts that are current and not yet ended; the same key again, and an older generation, change
 * nothing. Returns what was accepted.
 */
export async function recordCommits(
  client: Client,
  commits: readonly CommitFact[],
): Promise<{ job: string; attempt: number; step: number; project: string; path: string }[]> {
  if (commits.length === 0) return [];
  const { rows } = await client.query<{ job: string; attempt: number; step: number; project: string; path: string }>({
    name: "record-commits",
    text: `WITH accepted AS (
        INSERT INTO checkpoints (job, incarnation, attempt, generation, step, path, worker)
        SELECT k.job, k.incarnation, k.attempt, k.generation, k.step, k.path, k.worker
        FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::int[], $6::bigint[], $7::text[])
            WITH ORDINALITY AS k(job, incarnation, attempt, worker, generation, step, path, place)
          JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (k.job, k.incarnation, k.attempt)
          JOIN attempts a ON (a.job, a.incarnation, a.number) = (k.job, k.incarnation, k.attempt) AND a.state <> 'ended'
        WHERE NOT EXISTS (SELECT FROM checkpoints c WHERE (c.job, c.incarnation, c.attempt) = (k.job, k.incarnation, k.attempt) AND c.generation > k.generation)
        ORDER BY k.place
        ON CONFLICT (job, incarnation, attempt, generation, step) DO NOTHING
        RETURNING job, attempt, step, path
      ), noted AS (
        UPDATE progress p SET commit_at = now() FROM (SELECT DISTINCT job, attempt FROM accepted) a WHERE (p.job, p.attempt) = (a.job, a.attempt)
      )
      SELECT accepted.*, j.project FROM accepted JOIN jobs j ON j.id = accepted.job`,
    values: [
      ...columns(commits),
      commits.map((commit) => commit.worker),
      commits.map((commit) => commit.generation),
      commits.map((commit) => commit.step),
      commits.map((commit) => commit.path),
    ],
  });
  return rows;
}

export async function recordOutput(client: Client, sizes: readonly (WorkerId & { size: number })[]): Promise<void> {
  if (sizes.length === 0) return;
  await client.query({
    name: "record-output",
    text: `UPDATE workers w SET output_size = greatest(w.output_size, k.size) FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::bigint[]) AS k(job, incarnation, attempt, worker, size)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker) AND w.output_size < k.size`,
    values: [...columns(sizes), sizes.map((one) => one.worker), sizes.map((one) => one.size)],
  });
}
