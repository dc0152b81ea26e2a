import type { Client } from "../pool.ts";
import type { WorkerId } from "./attempt-key.ts";

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


/** What the store knows of jobs that an engine reports. */
export async function readKnown(client: Client, jobs: readonly string[]): Promise<Map<string, { incarnation: string; attempt: number; project: string }>> {
  const { rows } = await client.query<{ id: string; incarnation: string; attempt: number; project: string }>({
    name: "read-known-jobs",
    text: "SELECT id, incarnation::text, attempt, project FROM jobs WHERE id = ANY ($1)",
    values: [jobs],
  });
  return new Map(rows.map((row) => [row.id, row]));
}
