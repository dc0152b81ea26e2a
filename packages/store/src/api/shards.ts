import type { ShardSpec } from "@muster/model";
import type { Client } from "../pool.ts";

export interface ShardListRow {
  name: string;
  config: Record<string, unknown>;
  version: number;
  reachable: boolean;
  last_seen: Date | null;
  node_count: number;
}

/** Declared shards by name. */
export async function listDeclaredShards(client: Client, name: string | null): Promise<ShardListRow[]> {
  const { rows } = await client.query<ShardListRow>({
    name: "api-declared-shards",
    text: `SELECT s.name, s.config, s.version, s.reachable, s.last_seen, (SELECT count(*)::int FROM nodes n WHERE n.shard = s.name) AS node_count
      FROM shards s WHERE s.engine = 'kubernetes' AND ($1::text IS NULL OR s.name = $1) ORDER BY s.name`,
    values: [name],
  });
  return rows;
}

/** @returns false where the name is another engine's */
export async function putShard(client: Client, { name, engine, config }: ShardSpec): Promise<boolean> {
  const { rowCount } = await client.query({
    name: "api-put-shard",
    text: `INSERT INTO shards (name, engine, config) VALUES ($1, $2, $3)
      ON CONFLICT (name) DO UPDATE SET config = $3, version = shards.version + 1 WHERE shards.engine = $2`,
    values: [name, engine, JSON.stringify(config)],
  });
  return rowCount === 1;
}
