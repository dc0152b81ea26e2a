import type { PoolSpec, QueueSpec } from "@muster/model";
import type { Client } from "../pool.ts";

export interface ShapeNode {
  name: string;
  pool: string;
  accelerator: string;
  fabric: string[];
  devices: number;
  cpus: number;
  memory: number;
}

export interface ClusterShape {
  nodes: ShapeNode[];
  pools: { name: string; spec: Partial<PoolSpec> }[];
  queues: { name: string; parent: string | null; projects: string[]; paused: boolean; spec: Partial<QueueSpec> }[];
  projects: string[];
  settings: Record<string, unknown>;
}

/** Changes whenever what `readShape` gives changes; cheap to ask. */
export async function shapeFingerprint(client: Client): Promise<string> {
  const { rows } = await client.query<{ print: string }>({
    name: "api-shape-fingerprint",
    text: `SELECT concat_ws('/',
        (SELECT concat(count(*), ':', sum(hashtextextended(concat_ws('|', name, pool, devices, cpus, memory, fabric), 0)::numeric)) FROM nodes WHERE health <> 'retired'),
        (SELECT concat(count(*), ':', sum(hashtextextended(concat_ws('|', name, version), 0)::numeric)) FROM pools),
        (SELECT concat(count(*), ':', sum(hashtextextended(concat_ws('|', name, version, projects), 0)::numeric)) FROM queues),
        (SELECT concat(count(*), ':', sum(hashtextextended(name, 0)::numeric)) FROM projects),
        (SELECT hashtextextended(settings::text, 0) FROM cluster)) AS print`,
  });
  return rows[0]?.print ?? "";
}

/** What submissions are checked against: everything registered, as if healthy and empty. */
export async function readShape(client: Client): Promise<ClusterShape> {
  const { rows: nodes } = await client.query<ShapeNode>({
    name: "api-shape-nodes",
    text: "SELECT n.name, n.pool, p.accelerator, n.fabric, n.devices, n.cpus, n.memory FROM nodes n JOIN pools p ON p.name = n.pool WHERE n.health <> 'retired' ORDER BY n.name",
  });
  const { rows: pools } = await client.query<{ name: string; spec: Partial<PoolSpec> }>({
    name: "api-shape-pools",
    text: "SELECT name, spec FROM pools ORDER BY name",
  });
  const { rows: queues } = await client.query<ClusterShape["queues"][number]>({
    name: "api-shape-queues",
    text: "SELECT name, parent, projects, paused, spec FROM queues ORDER BY name",
  });
  const { rows: projects } = await client.query<{ name: string }>({ name: "api-shape-projects", text: "SELECT name FROM projects" });
  const { rows: cluster } = await client.query<{ settings: Record<string, unknown> }>({ name: "api-shape-settings", text: "SELECT settings FROM cluster" });
  return { nodes, pools, queues, projects: projects.map((row) => row.name), settings: cluster[0]?.settings ?? {} };
}
