import type { Client } from "../pool.ts";

export interface ShardRow {
  name: string;
  engine: string;
  address: string;
  config: Record<string, unknown>;
  version: number;
  epoch: string;
  seq: string;
  reachable: boolean;
  reported_incarnation: string | null;
}

export async function readShards(client: Client): Promise<ShardRow[]> {
  const { rows } = await client.query<ShardRow>({
    name: "read-shards",
    text: "SELECT name, engine, address, config, version, epoch, seq::text, reachable, reported_incarnation::text FROM shards ORDER BY name",
  });
  return rows;
}

/** Observations up to here are recorded; in the transaction that records them. */
export async function saveShardCursor(client: Client, shard: string, epoch: string, seq: number): Promise<void> {
  await client.query({
    name: "save-shard-cursor",
    text: "UPDATE shards SET epoch = $2, seq = $3, last_seen = now() WHERE name = $1",
    values: [shard, epoch, seq],
  });
}

/**
 * Reachability of a shard and of its nodes. Unreachable is a fact about us, not about the work there. A shard that is
 * reached again is lost no more, and what was held against its nodes for their silence alone is forgotten. Returns the nodes that
 * changed.
 */
export async function setShardReachable(client: Client, shard: string, reachable: boolean): Promise<{ name: string; pool: string }[]> {
  const { rows } = await client.query<{ name: string; pool: string }>({
    name: "set-shard-reachable",
    text: `WITH shard AS (UPDATE shards SET reachable = $2, last_seen = CASE WHEN $2 THEN now() ELSE last_seen END, dead_since = CASE WHEN NOT $2 THEN dead_since END
          WHERE name = $1 AND (reachable <> $2 OR ($2 AND dead_since IS NOT NULL)))
      UPDATE nodes n SET reachable = $2, version = n.version + 1,
        last_seen = CASE WHEN $2 THEN now() ELSE n.last_seen END,
        lost_since = CASE WHEN $2 THEN NULL ELSE n.lost_since END,
        health = CASE WHEN silence THEN 'ready' ELSE n.health END,
        health_reason = CASE WHEN silence THEN NULL ELSE n.health_reason END,
        health_actor = CASE WHEN silence THEN NULL ELSE n.health_actor END,
        health_since = CASE WHEN silence THEN now() ELSE n.health_since END
      FROM (SELECT name, $2 AND health = 'suspect' AND health_actor = 'silence' AS silence FROM nodes WHERE shard = $1) o
      WHERE o.name = n.name AND NOT ($2 AND n.away_since IS NOT NULL) AND (n.reachable <> $2 OR silence OR ($2 AND n.lost_since IS NOT NULL))
      RETURNING n.name, n.pool`,
    values: [shard, reachable],
  });
  return rows;
}

export async function setShardReported(client: Client, shard: string, incarnation: string): Promise<void> {
  await client.query({ name: "set-shard-reported", text: "UPDATE shards SET reported_incarnation = $2 WHERE name = $1", values: [shard, incarnation] });
}

/**
 * Starts go on once every shard has reported in this incarnation. One that can't be reached is waited for too where the store
 * is known to be older than what runs, but not where it merely might be. One whose nodes were all deleted is waited for by nobody.
 */
export async function unpauseStarts(client: Client): Promise<boolean> {
  const { rowCount } = await client.query({
    name: "unpause-starts",
    text: `UPDATE cluster c SET starts_paused = false, starts_paused_reason = NULL, must_report = false WHERE c.starts_paused
      AND NOT EXISTS (SELECT FROM shards s WHERE s.reported_incarnation IS DISTINCT FROM c.incarnation AND (s.reachable OR c.must_report)
        AND EXISTS (SELECT FROM nodes n WHERE n.shard = s.name))`,
  });
  return rowCount === 1;
}

export interface BootRow {
  node: string;
  bootId: string;
}

/** Records boot ids; returns the nodes that have booted since the last one known. */
export async function saveBootIds(client: Client, shard: string, boots: readonly BootRow[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>({
    name: "save-boot-ids",
    text: `UPDATE nodes n SET boot_id = b.boot FROM unnest($2::text[], $3::text[]) AS b(node, boot), nodes old
      WHERE n.name = b.node AND old.name = n.name AND n.shard = $1 AND n.boot_id IS DISTINCT FROM b.boot
      RETURNING CASE WHEN old.boot_id IS NOT NULL THEN n.name END AS name`,
    values: [shard, boots.map((boot) => boot.node), boots.map((boot) => boot.bootId)],
  });
  return rows.flatMap((row) => row.name ?? []);
}
