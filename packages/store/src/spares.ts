import { LEMON_DAYS, type SpareRecord } from "@muster/lifecycle";
import type { JobState, PoolSpec, StopTarget } from "@muster/model";
import type { Client } from "./pool.ts";

/* Nodes held back for what comes back from faults, and what they are sized from. */

export interface SpareRow extends SpareRecord {
  pool: string;
  wanted: PoolSpec["spares"];
  heldBack: number;
  lent: number;
}

/** Events that end a node's being in service, and that begin it again. */
const OUT = "('node.lost', 'node.cordon', 'node.drain')";
const BACK = "('node.reachable', 'node.uncordon', 'node.passed', 'node.cleared')";

/** Pools that hold nodes back, or are to. Cheap, unlike what they are sized from. */
export async function readSparePools(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>({
    name: "read-spare-pools",
    text: "SELECT name FROM pools WHERE coalesce(spec->'spares', '0') <> '0' UNION SELECT pool FROM nodes WHERE spare ORDER BY 1",
  });
  return rows.map((row) => row.name);
}

/** How nodes of each pool broke and came back within 28 days. */
export async function readSpares(client: Client, pool: string | null): Promise<SpareRow[]> {
  const { rows } = await client.query<SpareRow>({
    name: "read-spares",
    text: `WITH moves AS (
        SELECT n.pool, e.node, e.at, e.kind IN ${OUT} AS out, e.kind IN ${OUT} AND NOT coalesce(e.data->>'from', 'ready') IN ('cordoned', 'draining', 'diagnosing') AND (e.kind = 'node.lost' OR e.data->>'set_by' IS NOT NULL) AS failed
        FROM events e JOIN nodes n ON n.name = e.node WHERE e.at > now() - make_interval(days => ${LEMON_DAYS}) AND (e.kind IN ${OUT} OR e.kind IN ${BACK})),
      outages AS (SELECT pool, at, failed, (SELECT min(b.at) FROM moves b WHERE b.node = m.node AND NOT b.out AND b.at > m.at) AS back FROM moves m WHERE m.failed)
      SELECT p.name AS pool, coalesce(p.spec->'spares', '0') AS wanted, count(n.name)::int AS nodes,
        count(n.name) FILTER (WHERE n.spare)::int AS "heldBack",
        count(n.name) FILTER (WHERE n.spare AND EXISTS (SELECT FROM workers w WHERE w.node = n.name AND NOT w.released))::int AS lent,
        (count(n.name) * least(${LEMON_DAYS}, extract(epoch FROM now() - (SELECT created_at FROM cluster)) / 86400))::float8 AS "nodeDays",
        (SELECT count(*)::int FROM outages o WHERE o.pool = p.name) AS failures,
        ARRAY (SELECT (extract(epoch FROM o.back - o.at) / 86400)::float8 FROM outages o WHERE o.pool = p.name AND o.back IS NOT NULL) AS repairs
      FROM pools p LEFT JOIN nodes n ON n.pool = p.name AND n.health <> 'retired' WHERE $1::text IS NULL OR p.name = $1 GROUP BY p.name, p.spec ORDER BY p.name`,
    values: [pool],
  });
  return rows;
}

/**
 * Holds so many nodes of a pool back: ready ones without work that isn't preemptible, those that are idle first, and rather those
 * that are held back already. Returns those that changed.
 */
export async function holdBack(client: Client, pool: string, count: number): Promise<{ name: string; spare: boolean }[]> {
  const { rows } = await client.query<{ name: string; spare: boolean }>({
    name: "hold-back",
    text: `WITH chosen AS (
        SELECT n.name FROM nodes n JOIN node_usage u ON u.node = n.name WHERE n.pool = $1 AND n.health = 'ready' AND n.reachable
          AND NOT EXISTS (SELECT FROM workers w JOIN jobs j ON j.id = w.job WHERE w.node = n.name AND NOT w.released AND NOT j.preemptible)
        ORDER BY n.spare DESC, (0 = ALL (u.held)) DESC, n.name LIMIT $2)
      UPDATE nodes n SET spare = c.spare, version = n.version + 1 FROM (SELECT name, name IN (SELECT name FROM chosen) AS spare FROM nodes WHERE pool = $1) c
      WHERE c.name = n.name AND n.spare <> c.spare RETURNING n.name, n.spare`,
    values: [pool, count],
  });
  return rows;
}

export interface LentRow {
  job: string;
  project: string;
  state: JobState;
  stop_target: StopTarget | null;
  attempt: number;
  grace: number;
  node: string;
  /** For whom. */
  by: string;
}

/**
 * Preemptible work on spares of pools in which something that isn't, and ran before, waits for room: as much as covers the nodes that
 * the first of those asks for, beside spares that are idle.
 */
export async function readLent(client: Client): Promise<LentRow[]> {
  const { rows } = await client.query<LentRow>({
    name: "read-lent",
    text: `WITH waiting AS (SELECT DISTINCT ON (n.pool) n.pool, j.id, j.nodes FROM jobs j JOIN workers w ON w.job = j.id AND (w.incarnation, w.attempt) = (j.incarnation, j.attempt) JOIN nodes n ON n.name = w.node
          WHERE j.finished_at IS NULL AND j.state = 'queued' AND NOT j.preemptible AND j.started_at IS NOT NULL AND j.wait_reason IN ('insufficient_capacity', 'topology_fragmented', 'nodes_unhealthy')
          ORDER BY n.pool, j.priority DESC, j.id),
        spares AS (SELECT n.name, n.pool, 0 = ALL (u.held) AS idle, row_number() OVER (PARTITION BY n.pool ORDER BY (0 = ALL (u.held)) DESC, n.name) AS place FROM nodes n JOIN node_usage u ON u.node = n.name WHERE n.spare)
      SELECT DISTINCT ON (j.id) j.id AS job, j.project, j.state, j.stop_target, j.attempt, coalesce((s.resolved->'checkpoint'->>'grace')::float, 30) AS grace, p.name AS node, q.id AS by
      FROM waiting q JOIN spares p ON p.pool = q.pool AND NOT p.idle AND p.place <= q.nodes JOIN workers w ON w.node = p.name AND NOT w.released
        JOIN jobs j ON j.id = w.job AND (j.incarnation, j.attempt) = (w.incarnation, w.attempt) JOIN job_specs s ON s.job = j.id
      WHERE j.preemptible AND j.state IN ('scheduled', 'starting', 'running') ORDER BY j.id`,
  });
  return rows;
}
