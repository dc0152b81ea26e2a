import type { QueueSpec } from "@muster/model";
import type { Client } from "../pool.ts";

export interface QueueListRow {
  name: string;
  parent: string | null;
  projects: string[];
  paused: boolean;
  spec: QueueSpec;
  version: number;
  waiting_jobs: number;
  waiting_devices: number;
  active_jobs: number;
  active_devices: number;
}

/** Queues by name with their live jobs counted; only those of the given projects, and the queues that they may use. */
export async function listQueues(client: Client, visible: readonly string[] | null, name: string | null): Promise<QueueListRow[]> {
  const { rows } = await client.query<QueueListRow>({
    name: "api-queues",
    text: `SELECT q.name, q.parent, q.projects, q.paused, q.spec, q.version,
        coalesce(c.waiting_jobs, 0)::int AS waiting_jobs, coalesce(c.waiting_devices, 0)::int8 AS waiting_devices,
        coalesce(c.active_jobs, 0)::int AS active_jobs, coalesce(c.active_devices, 0)::int8 AS active_devices
      FROM queues q LEFT JOIN (SELECT j.queue, count(*) FILTER (WHERE j.state = 'queued') AS waiting_jobs,
          sum(j.devices) FILTER (WHERE j.state = 'queued') AS waiting_devices,
          count(*) FILTER (WHERE j.state IN ('scheduled', 'starting', 'running', 'recovering', 'stopping')) AS active_jobs,
          sum(j.devices) FILTER (WHERE j.state IN ('scheduled', 'starting', 'running', 'recovering', 'stopping')) AS active_devices
        FROM jobs j WHERE j.finished_at IS NULL AND ($1::text[] IS NULL OR j.project = ANY($1)) GROUP BY j.queue) c ON c.queue = q.name
      WHERE ($2::text IS NULL OR q.name = $2) AND ($1::text[] IS NULL OR '*' = ANY(q.projects) OR q.projects && $1)
      ORDER BY q.name`,
    values: [visible, name],
  });
  return rows;
}

export async function putQueue(client: Client, spec: QueueSpec): Promise<void> {
  await client.query({
    name: "api-put-queue",
    text: `INSERT INTO queues (name, parent, projects, paused, spec) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (name) DO UPDATE SET parent = $2, projects = $3, paused = $4, spec = $5, version = queues.version + 1, updated_at = now()`,
    values: [spec.name, spec.parent ?? null, spec.projects, spec.paused, JSON.stringify(spec)],
  });
}

/** The queue itself and everything above it, nearest first. Empty where it doesn't exist. */
export async function queueAncestry(client: Client, name: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>({
    name: "api-queue-ancestry",
    text: `WITH RECURSIVE up AS (SELECT name, parent, 1 AS depth FROM queues WHERE name = $1
        UNION ALL SELECT q.name, q.parent, up.depth + 1 FROM queues q JOIN up ON q.name = up.parent WHERE up.depth < 64)
      SELECT name FROM up ORDER BY depth`,
    values: [name],
  });
  return rows.map((row) => row.name);
}
