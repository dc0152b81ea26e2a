import type { NodeHealth } from "@muster/model";
import type { Client } from "../pool.ts";

/** Live jobs by state. */
export async function countLiveJobs(client: Client, visible: readonly string[] | null): Promise<{ state: string; jobs: number }[]> {
  const { rows } = await client.query<{ state: string; jobs: number }>({
    name: "api-count-live",
    text: "SELECT state, count(*)::int AS jobs FROM jobs WHERE finished_at IS NULL AND ($1::text[] IS NULL OR project = ANY($1)) GROUP BY state",
    values: [visible],
  });
  return rows;
}

/** Jobs that ended within the last day, by state and class of failure. Ids bound the scan: older submissions are left out. */
export async function countFinished(
  client: Client,
  visible: readonly string[] | null,
  fromId: string,
): Promise<{ state: string; class: string | null; jobs: number }[]> {
  const { rows } = await client.query<{ state: string; class: string | null; jobs: number }>({
    name: "api-count-finished",
    text: `SELECT state, CASE WHEN state = 'failed' THEN coalesce(failure->>'class', 'unknown') END AS class, count(*)::int AS jobs FROM jobs
      WHERE id >= $2 AND finished_at > now() - interval '1 day' AND ($1::text[] IS NULL OR project = ANY($1)) GROUP BY 1, 2`,
    values: [visible, fromId],
  });
  return rows;
}

export async function countWaiting(
  client: Client,
  visible: readonly string[] | null,
): Promise<{ reason: string | null; jobs: number; devices: number; oldest: Date | null }[]> {
  const { rows } = await client.query<{ reason: string | null; jobs: number; devices: number; oldest: Date | null }>({
    name: "api-count-waiting",
    text: `SELECT wait_reason AS reason, count(*)::int AS jobs, sum(devices)::int8 AS devices, min(state_since) AS oldest FROM jobs
      WHERE finished_at IS NULL AND state = 'queued' AND ($1::text[] IS NULL OR project = ANY($1)) GROUP BY 1`,
    values: [visible],
  });
  return rows;
}

export async function listBrokenNodes(
  client: Client,
  limit: number,
): Promise<{ name: string; pool: string; health: NodeHealth; reason: string | null; since: Date }[]> {
  const { rows } = await client.query<{ name: string; pool: string; health: NodeHealth; reason: string | null; since: Date }>({
    name: "api-broken-nodes",
    text: `SELECT name, pool, health, CASE WHEN NOT reachable THEN coalesce(health_reason, 'unreachable') ELSE health_reason END AS reason,
        CASE WHEN health = 'ready' THEN coalesce(last_seen, health_since) ELSE health_since END AS since
      FROM nodes WHERE health <> 'ready' OR NOT reachable ORDER BY 5 DESC LIMIT $1`,
    values: [limit],
  });
  return rows;
}

/** The largest live jobs that hold devices. */
export async function listTopJobIds(client: Client, visible: readonly string[] | null, limit: number): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>({
    name: "api-top-jobs",
    text: `SELECT id FROM jobs WHERE finished_at IS NULL AND state IN ('scheduled', 'starting', 'running', 'recovering', 'stopping')
        AND ($1::text[] IS NULL OR project = ANY($1)) ORDER BY devices DESC, id LIMIT $2`,
    values: [visible, limit],
  });
  return rows.map((row) => row.id);
}

export async function listShards(client: Client): Promise<{ name: string; reachable: boolean; last_seen: Date | null }[]> {
  const { rows } = await client.query<{ name: string; reachable: boolean; last_seen: Date | null }>({
    name: "api-shards",
    text: "SELECT name, reachable, last_seen FROM shards ORDER BY name",
  });
  return rows;
}
