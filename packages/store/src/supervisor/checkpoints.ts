import type { Client } from "../pool.ts";
import type { AttemptId } from "./attempt-key.ts";

/** An accepted commit that no engine has put beyond the attempt's reach yet. */
export interface UnsealedRow extends AttemptId {
  id: number;
  step: number;
  path: string;
  node: string;
  project: string;
  dir: string | null;
  keep: number;
  /** Names of the newest sealed ones, newest first. */
  sealed: string[];
}

/** Unsealed commits whose worker lives on this shard; `after` leaves out those already handed over. */
export async function readUnsealed(client: Client, shard: string, limit: number): Promise<UnsealedRow[]> {
  const { rows } = await client.query<UnsealedRow>({
    name: "read-unsealed",
    text: `SELECT c.id, c.job, c.incarnation::text, c.attempt, c.step, c.path, w.node, j.project, s.resolved->'checkpoint'->>'dir' AS dir,
        (s.resolved->'checkpoint'->>'keep')::int AS keep,
        ARRAY (SELECT o.sealed_path FROM checkpoints o WHERE o.job = c.job AND o.sealed_path IS NOT NULL AND NOT o.pruned ORDER BY o.id DESC LIMIT 1000) AS sealed
      FROM checkpoints c
        JOIN workers w ON (w.job, w.incarnation, w.attempt, w.worker) = (c.job, c.incarnation, c.attempt, c.worker)
        JOIN jobs j ON j.id = c.job JOIN job_specs s ON s.job = c.job
      WHERE c.sealed_at IS NULL AND c.seal_error IS NULL AND w.shard = $1
      ORDER BY c.id LIMIT $2`,
    values: [shard, limit],
  });
  return rows;
}

/** @returns the project of the job, or undefined where it was already recorded */
export async function recordSealed(
  client: Client,
  id: number,
  path: string,
): Promise<{ job: string; attempt: number; step: number; project: string } | undefined> {
  const { rows } = await client.query<{ job: string; attempt: number; step: number; project: string }>({
    name: "record-sealed",
    text: `UPDATE checkpoints c SET sealed_path = $2, sealed_at = now(), seal_error = NULL FROM jobs j
      WHERE c.id = $1 AND j.id = c.job AND c.sealed_at IS NULL RETURNING c.job, c.attempt, c.step, j.project`,
    values: [id, path],
  });
  return rows[0];
}

export async function recordSealFailed(
  client: Client,
  id: number,
  reason: string,
): Promise<{ job: string; attempt: number; step: number; project: string } | undefined> {
  const { rows } = await client.query<{ job: string; attempt: number; step: number; project: string }>({
    name: "record-seal-failed",
    text: `UPDATE checkpoints c SET seal_error = $2 FROM jobs j WHERE c.id = $1 AND j.id = c.job AND c.sealed_at IS NULL AND c.seal_error IS NULL
      RETURNING c.job, c.attempt, c.step, j.project`,
    values: [id, reason],
  });
  return rows[0];
}

/** Those beyond the newest `checkpoint.keep` sealed ones are gone from the store of checkpoints. */
export async function recordPruned(client: Client, job: string): Promise<void> {
  await client.query({
    name: "record-pruned",
    text: `UPDATE checkpoints SET pruned = true WHERE job = $1 AND NOT pruned AND sealed_path IS NOT NULL
      AND id NOT IN (SELECT id FROM checkpoints WHERE job = $1 AND sealed_path IS NOT NULL ORDER BY id DESC
        LIMIT (SELECT (resolved->'checkpoint'->>'keep')::int FROM job_specs WHERE job = $1))`,
    values: [job],
  });
}

/** The newest commit is not to be resumed from (`rollback`). */
export async function dropNewestCheckpoint(client: Client, job: string): Promise<void> {
  await client.query({
    name: "drop-newest-checkpoint",
    text: "UPDATE checkpoints SET pruned = true WHERE id = (SELECT max(id) FROM checkpoints WHERE job = $1 AND NOT pruned)",
    values: [job],
  });
}
