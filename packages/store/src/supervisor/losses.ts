import type { Client } from "../pool.ts";
import type { ConditionRow } from "./silence.ts";

export interface LossRow extends ConditionRow {
  /** Newest first; NaN: no number. */
  losses: number[];
  condition: "loss_nan" | "loss_jump" | null;
}

/** Running jobs that reported a loss lately, and what is said of it now. */
export async function readLosses(client: Client): Promise<LossRow[]> {
  const { rows } = await client.query<LossRow>({
    name: "read-losses",
    text: `SELECT j.id AS job, j.project, j.attempt, p.losses, CASE WHEN 'loss_nan' = ANY (j.conditions) THEN 'loss_nan' WHEN 'loss_jump' = ANY (j.conditions) THEN 'loss_jump' END AS condition
      FROM attempts a JOIN progress p ON p.job = a.job AND p.attempt = a.number JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (a.job, a.incarnation, a.number)
      WHERE a.state = 'running' AND j.state = 'running' AND p.at > now() - interval '10 s' AND cardinality(p.losses) > 0`,
  });
  return rows;
}

/** What is said of a running job's loss; null: nothing. */
export async function setLossCondition(client: Client, job: string, condition: string | null): Promise<void> {
  await client.query({
    name: "set-loss-condition",
    text: `UPDATE jobs SET conditions = array_remove(array_remove(conditions, 'loss_nan'), 'loss_jump') || array_remove(ARRAY[$2], NULL), version = version + 1 WHERE id = $1 AND state = 'running'`,
    values: [job, condition],
  });
}
