import type { Client } from "../pool.ts";
import { columns, type AttemptId } from "./attempt-key.ts";

/** A running attempt that has been quiet for a moment; times in milliseconds since 1970 by the database's clock. */
export interface QuietRow extends AttemptId {
  project: string;
  now: number;
  up_at: number;
  step_at: number | null;
  step: number | null;
  phase: string | null;
  reports: boolean;
  /** Milliseconds. */
  intervals: number[];
  hang_timeout: number | null;
  shards: string[];
  /** Milliseconds since its last step in which one of them was not heard of. */
  unheard: number;
}

/**
 * Running attempts without a new step in the last two seconds that could be judged for it: those whose job reported progress,
 * or that have a `hang_timeout`. @param only these, or all
 */
export async function readQuiet(client: Client, only: readonly AttemptId[] | null): Promise<QuietRow[]> {
  const { rows } = await client.query<QuietRow>({
    name: only ? "read-quiet-of" : "read-quiet",
    text: `SELECT a.job, a.incarnation::text, a.number AS attempt, j.project, (extract(epoch FROM now()) * 1000)::float8 AS now,
        (extract(epoch FROM a.started_at) * 1000)::float8 AS up_at, CASE WHEN p.attempt = a.number THEN (extract(epoch FROM p.step_at) * 1000)::float8 END AS step_at,
        CASE WHEN p.attempt = a.number THEN p.step END AS step, CASE WHEN p.attempt = a.number THEN p.phase END AS phase, p.job IS NOT NULL AS reports,
        ARRAY (SELECT 1000 * i FROM unnest(p.intervals) AS i) AS intervals, (s.resolved->'recovery'->>'hang_timeout')::float8 * 1000 AS hang_timeout,
        w.shards, coalesce((SELECT sum(extract(epoch FROM upper(r) - lower(r)))::float8 * 1000 FROM (SELECT unnest(range_agg(tstzrange(greatest(g.began, q.since), g.ended))) AS r
          FROM shard_gaps g WHERE g.shard = ANY (w.shards) AND g.ended > q.since) AS gap), 0) AS unheard
      FROM attempts a JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (a.job, a.incarnation, a.number)
        JOIN job_specs s ON s.job = a.job LEFT JOIN progress p ON p.job = a.job
        CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN p.attempt = a.number THEN p.step_at END, a.started_at) AS since) q
        CROSS JOIN LATERAL (SELECT coalesce(array_agg(DISTINCT w.shard), '{}') AS shards FROM workers w
          WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number) AND w.state NOT IN ('exited', 'lost')) w
      WHERE a.state = 'running' AND j.state = 'running' AND a.started_at <= now() - interval '2 s' AND (p.job IS NULL OR p.step_at IS NULL OR p.step_at <= now() - interval '2 s' OR p.attempt < a.number)
        AND (p.job IS NOT NULL OR s.resolved->'recovery' ? 'hang_timeout')
        ${only ? "AND (a.job, a.incarnation, a.number) IN (SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[]))" : ""}`,
    ...(only && { values: columns(only) }),
  });
  return rows;
}

/** What was found about a live attempt, for which it is ended. */
export interface Found {
  rule: "hang" | "bad_node" | "straggler";
  evidence: string[];
  node?: string;
}

/** Notes what attempts are ended for, and their jobs' conditions; `judgeAttempts` goes by it when all their workers are dead. */
export async function markFound(client: Client, marks: readonly (AttemptId & { found: Found; condition: string | null })[]): Promise<void> {
  const ids = columns(marks);
  await client.query({
    name: "mark-found",
    text: `UPDATE attempts a SET found = f.found FROM unnest($1::text[], $2::bigint[], $3::int[], $4::jsonb[]) AS f(job, incarnation, number, found)
      WHERE (a.job, a.incarnation, a.number) = (f.job, f.incarnation, f.number)`,
    values: [...ids, marks.map(({ found }) => JSON.stringify(found))],
  });
  await client.query({
    name: "mark-conditions",
    text: `UPDATE jobs j SET conditions = array_append(conditions, m.condition) FROM unnest($1::text[], $2::text[]) AS m(job, condition)
      WHERE j.id = m.job AND m.condition IS NOT NULL AND NOT m.condition = ANY (j.conditions)`,
    values: [ids[0], marks.map((mark) => mark.condition)],
  });
}
