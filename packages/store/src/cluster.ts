import { randomBytes, randomInt } from "node:crypto";
import type { Client } from "./pool.ts";

export interface ClusterRow {
  id: string;
  incarnation: string;
  starts_paused: boolean;
  starts_paused_reason: string | null;
  secret: Buffer;
  settings: Record<string, unknown>;
}

/** Greater than any that was made earlier, and with random low bits, so that one backup restored twice gives two. */
export function makeIncarnation(now: number, above: bigint = 0n): string {
  const made = (BigInt(Math.floor(now / 1000)) << 20n) | BigInt(randomInt(1 << 20));
  return String(made > above ? made : above + 1n + BigInt(randomInt(1 << 10)));
}

/** Makes the one row of the cluster. @returns whether there was none */
export async function createCluster(client: Client): Promise<boolean> {
  const { rowCount } = await client.query("INSERT INTO cluster (incarnation, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING", [
    makeIncarnation(Date.now()),
    randomBytes(32),
  ]);
  return rowCount === 1;
}

/** The cluster, made where there is none. */
export async function ensureCluster(client: Client): Promise<ClusterRow> {
  await createCluster(client);
  return readCluster(client);
}

export async function readCluster(client: Client): Promise<ClusterRow> {
  const { rows } = await client.query<ClusterRow>({
    name: "read-cluster",
    text: "SELECT id, incarnation::text, starts_paused, starts_paused_reason, secret, settings FROM cluster",
  });
  const row = rows[0];
  if (!row) throw new Error("The database has no cluster row; start Muster once on it, or run its migrations");
  return row;
}

/**
 * Begins a new incarnation after a restore: attempts opened from now on are newer than all that ran before, whatever their
 * numbers; starts wait until every shard has reported what it still runs.
 */
export async function newIncarnation(client: Client, reason: string, above: bigint = 0n): Promise<string> {
  const current = await readCluster(client);
  const floor = above > BigInt(current.incarnation) ? above : BigInt(current.incarnation);
  const incarnation = makeIncarnation(Date.now(), floor);
  const { rowCount } = await client.query(
    "UPDATE cluster SET incarnation = $1, starts_paused = true, starts_paused_reason = $2, must_report = true WHERE incarnation = $3",
    [incarnation, reason, current.incarnation],
  );
  return rowCount === 1 ? incarnation : (await readCluster(client)).incarnation;
}

/** Whether starts are paused; keeps it so, either way, until the caller's transaction ends. */
export async function holdStarts(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ starts_paused: boolean }>({ name: "hold-starts", text: "SELECT starts_paused FROM cluster FOR SHARE" });
  return rows[0]?.starts_paused ?? true;
}
