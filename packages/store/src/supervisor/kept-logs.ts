import type { Client } from "../pool.ts";
import { columns, type AttemptId, type WorkerId } from "./attempt-key.ts";

export interface UnkeptRow extends WorkerId {
  project: string;
  output_size: number;
  kept_size: number;
}

/** Workers of this shard with output that isn't in the log store yet. */
export async function readUnkept(client: Client, shard: string, limit: number): Promise<UnkeptRow[]> {
  const { rows } = await client.query<UnkeptRow>({
    name: "read-unkept",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.worker, j.project, w.output_size, w.kept_size
      FROM workers w JOIN jobs j ON j.id = w.job WHERE w.shard = $1 AND w.kept_size < w.output_size LIMIT $2`,
    values: [shard, limit],
  });
  return rows;
}

export async function recordKept(client: Client, kept: readonly (WorkerId & { size: number })[]): Promise<void> {
  if (kept.length === 0) return;
  await client.query({
    name: "record-kept",
    text: `UPDATE workers w SET kept_size = greatest(w.kept_size, k.size) FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::bigint[]) AS k(job, incarnation, attempt, worker, size)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker)`,
    values: [...columns(kept), kept.map((one) => one.worker), kept.map((one) => one.size)],
  });
}

/** Of these attempts, those that have ended with all their workers confirmed and all output on this shard kept. */
export async function readForgettable(client: Client, shard: string, attempts: readonly AttemptId[]): Promise<AttemptId[]> {
  if (attempts.length === 0) return [];
  const { rows } = await client.query<AttemptId>({
    name: "read-forgettable",
    text: `SELECT k.job, k.incarnation::text, k.attempt FROM unnest($2::text[], $3::bigint[], $4::int[]) AS k(job, incarnation, attempt)
      WHERE NOT EXISTS (SELECT FROM attempts a WHERE (a.job, a.incarnation, a.number) = (k.job, k.incarnation, k.attempt) AND a.state <> 'ended')
        AND NOT EXISTS (SELECT FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (k.job, k.incarnation, k.attempt) AND w.shard = $1
          AND (w.state NOT IN ('exited', 'lost') OR w.kept_size < w.output_size))
        AND NOT EXISTS (SELECT FROM checkpoints c WHERE (c.job, c.incarnation, c.attempt) = (k.job, k.incarnation, k.attempt) AND c.sealed_at IS NULL AND c.seal_error IS NULL)`,
    values: [shard, ...columns(attempts)],
  });
  return rows;
}
