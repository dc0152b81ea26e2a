import type { Client } from "../pool.ts";
import { columns, type AttemptId, type WorkerId } from "./attempt-key.ts";
import type { ConditionRow } from "./silence.ts";

/** Reports that are kept of a worker. */
const KEPT = 40;

/** Adds what the ranks of workers took for a step of their own, of current attempts. */
export async function recordStepTimes(client: Client, reports: readonly (WorkerId & { ranks: Record<string, number> })[]): Promise<void> {
  if (reports.length === 0) return;
  await client.query({
    name: "record-step-times",
    text: `INSERT INTO step_times AS t (job, worker, attempt, windows)
      SELECT k.job, k.worker, k.attempt, jsonb_build_array(jsonb_build_object('at', extract(epoch FROM now()), 'ranks', k.ranks))
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::jsonb[]) AS k(job, incarnation, attempt, worker, ranks)
        JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (k.job, k.incarnation, k.attempt)
      ON CONFLICT (job, worker) DO UPDATE SET attempt = excluded.attempt, at = now(),
        windows = CASE WHEN excluded.attempt = t.attempt THEN jsonb_path_query_array(excluded.windows || t.windows, '$[0 to ${KEPT - 1}]') ELSE excluded.windows END`,
    values: [...columns(reports), reports.map((one) => one.worker), reports.map((one) => JSON.stringify(one.ranks))],
  });
}

export interface SteppingRow extends AttemptId, ConditionRow {
  incarnation: string;
  now: number;
  /** Whether it is said of the job that a rank slows it down. */
  said: boolean;
  /** Milliseconds since 1970. */
  committed_at: number;
  /** Milliseconds that its restarts took, the median; null: none is known. */
  restart: number | null;
  workers: { worker: string; node: string; windows: { at: number; ranks: Record<string, number> }[] }[];
}

/** Running attempts whose ranks have told of their step times within a minute, or of which it is said that one is slow. */
export async function readStepping(client: Client, only: readonly AttemptId[] | null): Promise<SteppingRow[]> {
  const { rows } = await client.query<SteppingRow>({
    name: only ? "read-stepping-of" : "read-stepping",
    text: `SELECT a.job, a.incarnation::text, a.number AS attempt, j.project, (extract(epoch FROM now()) * 1000)::float8 AS now, 'straggler' = ANY (j.conditions) AS said,
        (extract(epoch FROM coalesce((SELECT max(c.accepted_at) FROM checkpoints c WHERE (c.job, c.incarnation, c.attempt) = (a.job, a.incarnation, a.number)), a.first_progress_at, a.started_at)) * 1000)::float8 AS committed_at,
        (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (SELECT sum(p.value::float8) FROM jsonb_each_text(i.phases - 'detect' - 'redo') p)) * 1000
          FROM incident_attempts i WHERE i.job = a.job AND i.done_at IS NOT NULL) AS restart,
        t.workers
      FROM attempts a JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (a.job, a.incarnation, a.number)
        JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('worker', w.worker, 'node', w.node, 'windows', t.windows) ORDER BY w.worker) AS workers
          FROM step_times t JOIN workers w ON (w.job, w.incarnation, w.attempt, w.worker) = (t.job, a.incarnation, t.attempt, t.worker)
          WHERE t.job = a.job AND t.attempt = a.number AND t.at > now() - interval '1 min') t ON true
      WHERE a.state = 'running' AND j.state = 'running' AND (t.workers IS NOT NULL OR 'straggler' = ANY (j.conditions))
        ${only ? "AND (a.job, a.incarnation, a.number) IN (SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[]))" : ""}`,
    ...(only && { values: columns(only) }),
  });
  return rows.map((row) => ({ ...row, workers: row.workers ?? [] }));
}

/** Says of a running job that a rank slows it down, or no more. */
export async function setStraggling(client: Client, job: string, straggles: boolean): Promise<void> {
  await client.query({
    name: "set-straggling",
    text: `UPDATE jobs SET conditions = array_remove(conditions, 'straggler') || CASE WHEN $2 THEN ARRAY['straggler'] ELSE '{}'::text[] END, version = version + 1
      WHERE id = $1 AND state = 'running'`,
    values: [job, straggles],
  });
}

/** Whether a ready node of the same pool is wholly free, so that a gang that leaves this one can start again at once. */
export async function hasReplacement(client: Client, job: string, node: string): Promise<boolean> {
  const { rows } = await client.query<{ free: boolean }>({
    name: "has-replacement",
    text: `SELECT EXISTS (SELECT FROM nodes n JOIN nodes slow ON slow.name = $2 AND slow.pool = n.pool AND slow.devices = n.devices JOIN node_usage u ON u.node = n.name JOIN jobs j ON j.id = $1
      WHERE n.name <> $2 AND n.health = 'ready' AND n.reachable AND 0 = ALL (u.held) AND NOT n.name = ANY (j.excluded_nodes)) AS free`,
    values: [job, node],
  });
  return rows[0]?.free ?? false;
}
