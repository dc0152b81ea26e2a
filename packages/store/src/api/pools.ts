import type { DeviceVendor, PoolSpec } from "@muster/model";
import type { Client } from "../pool.ts";

export interface PoolListRow {
  name: string;
  engine: string;
  vendor: DeviceVendor;
  accelerator: string;
  spec: PoolSpec;
  version: number;
  nodes_total: number;
  nodes_healthy: number;
  nodes_schedulable: number;
  devices_total: number;
  devices_healthy: number;
  devices_schedulable: number;
  /** Thousandths. */
  devices_held: number;
  running_jobs: number;
}

/** Pools by name, with what there is of each and what is held. */
export async function listPools(client: Client, name: string | null): Promise<PoolListRow[]> {
  const { rows } = await client.query<PoolListRow>({
    name: "api-pools",
    text: `SELECT p.name, p.engine, p.vendor, p.accelerator, p.spec, p.version,
        count(n.name)::int AS nodes_total, count(*) FILTER (WHERE n.health = 'ready' AND n.reachable)::int AS nodes_healthy,
        count(*) FILTER (WHERE n.schedulable AND n.reachable)::int AS nodes_schedulable, coalesce(sum(n.devices), 0)::int AS devices_total,
        coalesce(sum(n.devices) FILTER (WHERE n.health = 'ready' AND n.reachable), 0)::int AS devices_healthy,
        coalesce(sum(n.devices) FILTER (WHERE n.schedulable AND n.reachable), 0)::int AS devices_schedulable,
        coalesce(sum((SELECT sum(h) FROM unnest(u.held) AS h)), 0)::int8 AS devices_held,
        (SELECT count(DISTINCT w.job)::int FROM workers w JOIN nodes m ON m.name = w.node WHERE m.pool = p.name AND NOT w.released) AS running_jobs
      FROM pools p LEFT JOIN nodes n ON n.pool = p.name LEFT JOIN node_usage u ON u.node = n.name
      WHERE $1::text IS NULL OR p.name = $1
      GROUP BY p.name ORDER BY p.name`,
    values: [name],
  });
  return rows;
}

/** Nodes with every device free and open to new work, counted by their block of the fabric. */
export async function listFreeBlocks(client: Client): Promise<{ pool: string; fabric: string[]; free: number }[]> {
  const { rows } = await client.query<{ pool: string; fabric: string[]; free: number }>({
    name: "api-free-blocks",
    text: `SELECT n.pool, n.fabric, count(*)::int AS free FROM nodes n JOIN node_usage u ON u.node = n.name
      WHERE n.schedulable AND n.reachable AND 0 = ALL (u.held) GROUP BY n.pool, n.fabric`,
  });
  return rows;
}

export async function putPool(client: Client, spec: PoolSpec): Promise<void> {
  await client.query({
    name: "api-put-pool",
    text: `INSERT INTO pools (name, engine, vendor, accelerator, spec) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (name) DO UPDATE SET engine = $2, vendor = $3, accelerator = $4, spec = $5, version = pools.version + 1, updated_at = now()`,
    values: [spec.name, spec.engine, spec.vendor, spec.accelerator, JSON.stringify(spec)],
  });
}
