import type { Client } from "../pool.ts";
import { transaction, type Pool } from "../pool.ts";
import { columns, workerKey, type WorkerId } from "./attempt-key.ts";

/** A worker that should be with an engine, or might be. */
export interface ExpectedRow extends WorkerId {
  state: string;
  desired: string;
  node: string;
}

/** Workers of this shard that aren't confirmed dead and were handed over. */
export async function readExpected(client: Client, shard: string): Promise<ExpectedRow[]> {
  const { rows } = await client.query<ExpectedRow>({
    name: "read-expected",
    text: `SELECT job, incarnation::text, attempt, worker, state, desired, node FROM workers WHERE shard = $1 AND NOT released AND state IN ('starting', 'running')`,
    values: [shard],
  });
  return rows;
}

/** What the store has of workers that an engine reports, by their keys. */
export async function readReported(client: Client, workers: readonly WorkerId[]): Promise<Map<string, { state: string; node: string; shard: string }>> {
  if (workers.length === 0) return new Map();
  const { rows } = await client.query<WorkerId & { state: string; node: string; shard: string }>({
    name: "read-reported",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.worker, w.state, w.node, w.shard
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[]) AS k(job, incarnation, attempt, worker) JOIN workers w USING (job, incarnation, attempt, worker)`,
    values: [...columns(workers), workers.map((worker) => worker.worker)],
  });
  return new Map(rows.map((row) => [workerKey(row), row]));
}

/** The newest attempt of jobs that an engine knows. */
export async function readKnown(client: Client, jobs: readonly string[]): Promise<Map<string, { incarnation: string; attempt: number; project: string }>> {
  const { rows } = await client.query<{ id: string; incarnation: string; attempt: number; project: string }>({
    name: "read-known-jobs",
    text: "SELECT id, incarnation::text, attempt, project FROM jobs WHERE id = ANY ($1)",
    values: [jobs],
  });
  return new Map(rows.map((row) => [row.id, row]));
}

/** Of these workers, those that are current, were handed over and are still waited for. */
export async function readAwaited(client: Client, workers: readonly WorkerId[]): Promise<WorkerId[]> {
  if (workers.length === 0) return [];
  const { rows } = await client.query<WorkerId>({
    name: "read-awaited",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.worker
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[]) AS k(job, incarnation, attempt, worker) JOIN workers w USING (job, incarnation, attempt, worker)
        JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (w.job, w.incarnation, w.attempt)
      WHERE w.state = 'starting' AND w.desired = 'run'`,
    values: [...columns(workers), workers.map((worker) => worker.worker)],
  });
  return rows;
}

/**
 * A supervisor appears. Where it is the first since all others have gone, the database may have been replaced meanwhile by an
 * older one: nothing is started until every shard that can be reached has said what it runs.
 * @returns whether starts wait now
 */
export async function appearAsSupervisor(pool: Pool, holder: string, seconds: number): Promise<boolean> {
  return transaction(pool, async (client) => {
    await client.query("SELECT FROM cluster FOR UPDATE");
    const { rowCount } = await client.query({
      name: "pause-for-first-supervisor",
      text: `UPDATE cluster SET starts_paused = true, starts_paused_reason = coalesce(starts_paused_reason, 'the control plane starts: shards are being asked what they run')
        WHERE NOT EXISTS (SELECT FROM leases WHERE name LIKE 'supervisor:%' AND expires_at > now()) AND EXISTS (SELECT FROM shards)`,
    });
    if (rowCount === 1) await client.query("UPDATE shards SET reported_incarnation = NULL");
    await client.query({
      name: "appear-as-supervisor",
      text: `INSERT INTO leases (name, holder, expires_at) VALUES ('supervisor:' || $1, $1, now() + make_interval(secs => $2))
        ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at`,
      values: [holder, seconds],
    });
    return rowCount === 1;
  });
}
