import type { Client } from "../pool.ts";

/** A node as its cluster shows it. */
export interface DiscoveredRow {
  name: string;
  pool: string;
  fabric: readonly string[];
  devices: number;
  deviceMemory: number;
  cpuMillis: number;
  memory: number;
  address: string;
  labels: Record<string, string>;
  /** Why no new work may go there; null: it may. */
  unfit: string | null;
  answers: boolean;
}

export interface DiscoveryChange {
  name: string;
  pool: string;
  kind: "registered" | "cordon" | "uncordon" | "away" | "back";
  reason: string | null;
}

/** Pools that a cluster's nodes may belong to, with the makers of their accelerators. */
export async function readClusterPools(client: Client): Promise<{ name: string; vendor: string }[]> {
  const { rows } = await client.query<{ name: string; vendor: string }>({
    name: "read-cluster-pools",
    text: "SELECT name, vendor FROM pools WHERE engine = 'kubernetes'",
  });
  return rows;
}

/**
 * Records what a cluster shows of its nodes. What work holds there stays: a node never has fewer devices than are held, and
 * moves to no other pool under work. A person's word on a node's health is never overruled. Returns what changed.
 */
export async function recordDiscovered(client: Client, shard: string, nodes: readonly DiscoveredRow[]): Promise<DiscoveryChange[]> {
  if (nodes.length === 0) return [];
  const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
  const { rows } = await client.query<{ name: string; pool: string; fresh: boolean }>({
    name: "record-discovered",
    text: `INSERT INTO nodes AS n (name, pool, shard, fabric, devices, device_memory, cpus, memory, address, labels, reachable)
      SELECT k.name, k.pool, $1, ARRAY (SELECT jsonb_array_elements_text(k.fabric)), k.devices, k."deviceMemory", k."cpuMillis", k.memory, k.address, k.labels, s.reachable
        FROM jsonb_to_recordset($2::jsonb) AS k(name text, pool text, fabric jsonb, devices int, "deviceMemory" bigint, "cpuMillis" int, memory bigint, address text, labels jsonb)
          JOIN shards s ON s.name = $1 JOIN pools p ON p.name = k.pool ORDER BY k.name
      ON CONFLICT (name) DO UPDATE SET
        pool = CASE WHEN EXISTS (SELECT FROM workers w WHERE w.node = n.name AND NOT w.released) THEN n.pool ELSE excluded.pool END,
        fabric = excluded.fabric, device_memory = excluded.device_memory, cpus = excluded.cpus, memory = excluded.memory, address = excluded.address, labels = excluded.labels,
        devices = greatest(excluded.devices, (SELECT coalesce(max(h.place), 0) FROM node_usage u, unnest(u.held) WITH ORDINALITY AS h(held, place) WHERE u.node = n.name AND h.held > 0)),
        version = n.version + 1
      WHERE n.shard = $1 AND (n.pool, n.fabric, n.devices::int, n.device_memory, n.cpus, n.memory, n.address, n.labels)
        IS DISTINCT FROM (excluded.pool, excluded.fabric, excluded.devices::int, excluded.device_memory, excluded.cpus, excluded.memory, excluded.address, excluded.labels)
      RETURNING n.name, n.pool, n.version = 1 AS fresh`,
    values: [shard, JSON.stringify(sorted)],
  });
  const changes: DiscoveryChange[] = rows.filter((row) => row.fresh).map(({ name, pool }) => ({ name, pool, kind: "registered", reason: null }));
  const health = await client.query<{ name: string; pool: string; was: string | null; reason: string | null }>({
    name: "record-discovered-health",
    text: `UPDATE nodes n SET version = n.version + 1, health_since = CASE WHEN (k.unfit IS NULL) = (n.health <> 'cordoned') THEN n.health_since ELSE now() END,
        health = CASE WHEN k.unfit IS NULL THEN 'ready' ELSE 'cordoned' END, schedulable = k.unfit IS NULL,
        health_reason = k.unfit, health_actor = CASE WHEN k.unfit IS NOT NULL THEN 'kubernetes' END, health_check = NULL
      FROM jsonb_to_recordset($2::jsonb) AS k(name text, unfit text), (SELECT name, health, health_actor, health_reason FROM nodes) o
      WHERE n.name = k.name AND o.name = n.name AND n.shard = $1
        AND CASE WHEN k.unfit IS NULL THEN n.health = 'cordoned' AND n.health_actor = 'kubernetes'
          ELSE n.health IN ('ready', 'suspect') OR (n.health = 'cordoned' AND n.health_actor = 'kubernetes' AND n.health_reason <> k.unfit) END
      RETURNING n.name, n.pool, CASE WHEN o.health = 'cordoned' THEN o.health_reason END AS was, n.health_reason AS reason`,
    values: [shard, JSON.stringify(sorted)],
  });
  for (const { name, pool, reason } of health.rows) changes.push({ name, pool, kind: reason === null ? "uncordon" : "cordon", reason });
  const away = await client.query<{ name: string; pool: string; away: boolean }>({
    name: "record-discovered-away",
    text: `UPDATE nodes n SET away_since = CASE WHEN k.answers THEN NULL ELSE now() END, version = n.version + 1
      FROM jsonb_to_recordset($2::jsonb) AS k(name text, answers boolean)
      WHERE n.name = k.name AND n.shard = $1 AND (n.away_since IS NULL) <> k.answers RETURNING n.name, n.pool, NOT k.answers AS away`,
    values: [shard, JSON.stringify(sorted)],
  });
  for (const { name, pool, away: is } of away.rows) changes.push({ name, pool, kind: is ? "away" : "back", reason: null });
  return changes;
}

/** Nodes that left the cluster: without work they are forgotten, with work they are away. Returns those that were forgotten. */
export async function recordGone(client: Client, shard: string, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  await client.query({
    name: "record-gone-away",
    text: "UPDATE nodes SET away_since = now(), version = version + 1 WHERE shard = $1 AND name = ANY ($2) AND away_since IS NULL",
    values: [shard, names],
  });
  const { rows } = await client.query<{ name: string }>({
    name: "record-gone",
    text: "DELETE FROM nodes n WHERE n.shard = $1 AND n.name = ANY ($2) AND NOT EXISTS (SELECT FROM workers w WHERE w.node = n.name AND NOT w.released) RETURNING n.name",
    values: [shard, names],
  });
  return rows.map((row) => row.name);
}

/** Nodes of a shard that the store has, to be compared with what the cluster shows. */
export async function readShardNodes(client: Client, shard: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>({ name: "read-shard-node-names", text: "SELECT name FROM nodes WHERE shard = $1", values: [shard] });
  return rows.map((row) => row.name);
}

/**
 * Nodes that were lost and are heard of again take work only when nothing old lives there: until then nothing new may count on its
 * being dead. Returns those that are back.
 */
export async function welcomeNodes(client: Client, shard: string): Promise<{ name: string; pool: string }[]> {
  const { rows } = await client.query<{ name: string; pool: string }>({
    name: "welcome-nodes",
    text: `UPDATE nodes n SET reachable = true, lost_since = NULL, last_seen = now(), version = n.version + 1,
        health = CASE WHEN o.silence THEN 'ready' ELSE n.health END, health_reason = CASE WHEN o.silence THEN NULL ELSE n.health_reason END,
        health_actor = CASE WHEN o.silence THEN NULL ELSE n.health_actor END, health_since = CASE WHEN o.silence THEN now() ELSE n.health_since END
      FROM shards s, (SELECT name, health = 'suspect' AND health_actor = 'silence' AS silence FROM nodes WHERE shard = $1) o
      WHERE n.shard = $1 AND s.name = $1 AND s.reachable AND o.name = n.name AND n.away_since IS NULL AND (NOT n.reachable OR n.lost_since IS NOT NULL OR o.silence)
        AND NOT EXISTS (SELECT FROM workers w JOIN jobs j ON j.id = w.job JOIN attempts a ON (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt)
          WHERE w.node = n.name AND NOT w.released AND w.state IN ('starting', 'running') AND (a.state = 'ended' OR (j.incarnation, j.attempt) <> (w.incarnation, w.attempt)))
      RETURNING n.name, n.pool`,
    values: [shard],
  });
  return rows;
}
