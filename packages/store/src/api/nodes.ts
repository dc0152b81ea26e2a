import type { DeviceVendor, NodeHealth } from "@muster/model";
import type { Client } from "../pool.ts";

export interface NodeListRow {
  name: string;
  pool: string;
  shard: string;
  vendor: DeviceVendor;
  accelerator: string;
  fabric: string[];
  address: string;
  devices: number;
  held: number[];
  cpus: number;
  cpus_held: number;
  memory: number;
  memory_held: number;
  labels: Record<string, string>;
  health: NodeHealth;
  health_reason: string | null;
  health_actor: string | null;
  health_since: Date;
  drain_deadline: Date | null;
  schedulable: boolean;
  reachable: boolean;
  last_seen: Date | null;
  spare: boolean;
  jobs: string[] | null;
  version: number;
}

export interface NodeFilter {
  /** Whose jobs are shown beside a node; null: all. */
  visible: readonly string[] | null;
  name?: string | undefined;
  pool?: string | undefined;
  health?: readonly string[] | undefined;
}

/** Nodes by name, after one. A node is heard of through its shard, whose row is written at each ping where the node's is not. */
export async function listNodes(client: Client, filter: NodeFilter, limit: number, after: string | null): Promise<NodeListRow[]> {
  const { rows } = await client.query<NodeListRow>({
    name: "api-nodes",
    text: `SELECT n.name, n.pool, n.shard, p.vendor, p.accelerator, n.fabric, n.address, n.devices, u.held, n.cpus, u.cpus AS cpus_held,
        n.memory, u.memory AS memory_held, n.labels, n.health, n.health_reason, n.health_actor, n.health_since, n.drain_deadline,
        n.schedulable, n.reachable, n.spare, n.version, w.jobs,
        CASE WHEN n.reachable OR NOT s.reachable THEN greatest(n.last_seen, s.last_seen) ELSE n.last_seen END AS last_seen
      FROM nodes n JOIN pools p ON p.name = n.pool JOIN shards s ON s.name = n.shard JOIN node_usage u ON u.node = n.name
        LEFT JOIN LATERAL (SELECT array_agg(DISTINCT w.job) AS jobs FROM workers w JOIN jobs j ON j.id = w.job
          WHERE w.node = n.name AND NOT w.released AND ($1::text[] IS NULL OR j.project = ANY($1))) w ON true
      WHERE ($2::text IS NULL OR n.name = $2) AND ($3::text IS NULL OR n.pool = $3) AND ($4::text[] IS NULL OR n.health = ANY($4))
        AND ($6::text IS NULL OR n.name > $6)
      ORDER BY n.name LIMIT $5`,
    values: [filter.visible, filter.name ?? null, filter.pool ?? null, filter.health ?? null, limit, after],
  });
  return rows;
}

export interface NodeDefinition {
  name: string;
  pool: string;
  shard: string;
  fabric: readonly string[];
  devices: number;
  deviceMemory: number;
  cpuMillis: number;
  memory: number;
  address: string;
  labels: Record<string, string>;
}

/** Registers a node or changes what it is; its health stays. */
export async function putNode(client: Client, node: NodeDefinition): Promise<void> {
  await client.query({
    name: "api-put-node",
    text: `INSERT INTO nodes (name, pool, shard, fabric, devices, device_memory, cpus, memory, address, labels)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
      ON CONFLICT (name) DO UPDATE SET pool = $2, shard = $3, fabric = $4, devices = $5, device_memory = $6, cpus = $7, memory = $8,
        address = $9, labels = $10, version = nodes.version + 1`,
    values: [
      node.name,
      node.pool,
      node.shard,
      node.fabric,
      node.devices,
      node.deviceMemory,
      node.cpuMillis,
      node.memory,
      node.address,
      JSON.stringify(node.labels),
    ],
  });
}

/** Makes the shard of a node where it is missing. */
export async function ensureShard(client: Client, name: string, engine: string): Promise<void> {
  await client.query({ name: "api-ensure-shard", text: "INSERT INTO shards (name, engine) VALUES ($1, $2) ON CONFLICT DO NOTHING", values: [name, engine] });
}

export async function lockNode(client: Client, name: string): Promise<{ health: NodeHealth; version: number; pool: string; held: boolean } | undefined> {
  const { rows } = await client.query<{ health: NodeHealth; version: number; pool: string; held: boolean }>({
    name: "api-lock-node",
    text: "SELECT health, version, pool, EXISTS (SELECT FROM workers w WHERE w.node = $1 AND NOT w.released) AS held FROM nodes WHERE name = $1 FOR UPDATE",
    values: [name],
  });
  return rows[0];
}

/**
 * Sets a node's health with its reason and actor; `schedulable` follows from it.
 * @param deadline seconds from now, or null @param check the check that reported it, or null
 */
export async function setNodeHealth(
  client: Client,
  name: string,
  health: NodeHealth,
  reason: string | null,
  actor: string | null,
  deadline: number | null,
  check: string | null = null,
): Promise<void> {
  await client.query({
    name: "api-set-node-health",
    text: `UPDATE nodes SET health = $2::text, health_reason = $3, health_actor = $4, drain_deadline = now() + make_interval(secs => $5), health_check = $6,
        health_since = CASE WHEN health = $2::text THEN health_since ELSE now() END,
        schedulable = $2::text IN ('ready', 'suspect', 'probation'), version = version + 1 WHERE name = $1`,
    values: [name, health, reason, actor, deadline, check],
  });
}

export async function deleteNode(client: Client, name: string): Promise<void> {
  await client.query({ name: "api-delete-node", text: "DELETE FROM nodes WHERE name = $1", values: [name] });
}
