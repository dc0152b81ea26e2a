import type { Client } from "../pool.ts";
import { columns, type AttemptId } from "./attempt-key.ts";

export interface WatchedShardRow {
  name: string;
  /** Whether it is a whole cluster, whose silence is not its nodes'. */
  cluster: boolean;
  /** Milliseconds since 1970 by the database's clock. */
  last_seen: number | null;
  /** Of the lease of the supervisor that keeps it; null where nobody does. */
  owner_epoch: string | null;
  /** Its agent died, and none could be started in its place. */
  dead: boolean;
}

/** The shard answered. @returns whether its silence is still held against a node of it */
export async function recordBeat(client: Client, shard: string): Promise<boolean> {
  const { rows } = await client.query<{ held: boolean }>({
    name: "record-beat",
    text: `UPDATE shards SET last_seen = now(), dead_since = NULL WHERE name = $1
      RETURNING EXISTS (SELECT FROM nodes n WHERE n.shard = $1 AND (n.lost_since IS NOT NULL OR (n.health = 'suspect' AND n.health_actor = 'silence'))) AS held`,
    values: [shard],
  });
  return rows[0]?.held ?? false;
}

/** What kept the shard died, and none can be started in its place. */
export async function recordDeath(client: Client, shard: string): Promise<void> {
  await client.query({ name: "record-death", text: "UPDATE shards SET dead_since = coalesce(dead_since, now()) WHERE name = $1", values: [shard] });
}

/** All shards with nodes, when each was last heard of, and the database's clock. */
export async function readWatchedShards(client: Client): Promise<{ now: number; shards: WatchedShardRow[] }> {
  const { rows } = await client.query<{
    now: number;
    name: string | null;
    cluster: boolean;
    last_seen: number | null;
    owner_epoch: string | null;
    dead: boolean;
  }>({
    name: "read-watched-shards",
    text: `SELECT (extract(epoch FROM now()) * 1000)::float8 AS now, s.name, s.engine = 'kubernetes' AS cluster, (extract(epoch FROM s.last_seen) * 1000)::float8 AS last_seen, l.epoch::text AS owner_epoch, s.dead_since IS NOT NULL AS dead
      FROM (SELECT) AS one LEFT JOIN shards s ON true LEFT JOIN leases l ON l.name = 'shard:' || s.name AND l.expires_at > now()`,
  });
  return {
    now: rows[0]?.now ?? 0,
    shards: rows.flatMap(({ name, cluster, last_seen, owner_epoch, dead }) => (name === null ? [] : [{ name, cluster, last_seen, owner_epoch, dead }])),
  };
}

export interface WatchedNodeRow {
  name: string;
  shard: string;
  pool: string;
  fabric: string[];
  /** The pool's names of the levels, outermost first. */
  fabric_levels: string[] | null;
  health: string;
  lost: boolean;
  /** A check has called it dead since it was last heard of. */
  confirmed: boolean;
  /** Since when its cluster hasn't heard of it, in milliseconds since 1970. */
  away: number | null;
}

export async function readWatchedNodes(client: Client): Promise<WatchedNodeRow[]> {
  const { rows } = await client.query<WatchedNodeRow>({
    name: "read-watched-nodes",
    text: `SELECT n.name, n.shard, n.pool, n.fabric, ARRAY (SELECT jsonb_array_elements_text(p.spec->'fabric_levels')) AS fabric_levels, n.health, n.lost_since IS NOT NULL AS lost,
        s.last_seen < now() - interval '5 s' AND EXISTS (SELECT FROM events e WHERE e.node = n.name AND e.kind = 'node.checked' AND e.data->>'status' = 'fatal' AND e.at > s.last_seen) AS confirmed,
        (extract(epoch FROM n.away_since) * 1000)::float8 AS away
      FROM nodes n JOIN pools p ON p.name = n.pool JOIN shards s ON s.name = n.shard WHERE n.health <> 'retired' ORDER BY n.name`,
  });
  return rows;
}

/** Whether any node's cluster doesn't hear of it. */
export async function anyAway(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ away: boolean }>({ name: "any-away", text: "SELECT EXISTS (SELECT FROM nodes WHERE away_since IS NOT NULL) AS away" });
  return rows[0]?.away ?? false;
}

/** Marks ready nodes as suspect for their silence. Returns those that changed. */
export async function suspectSilent(client: Client, nodes: readonly string[], reason: string): Promise<{ name: string; pool: string }[]> {
  if (nodes.length === 0) return [];
  const { rows } = await client.query<{ name: string; pool: string }>({
    name: "suspect-silent",
    text: `UPDATE nodes SET health = 'suspect', health_reason = $2, health_actor = 'silence', health_since = now(), version = version + 1
      WHERE name = ANY ($1) AND health = 'ready' RETURNING name, pool`,
    values: [nodes, reason],
  });
  return rows;
}

/** Declares nodes lost; those whose shard was heard of since are left out. Returns those that changed. */
export async function declareLost(client: Client, nodes: readonly string[], silentFor: number): Promise<{ name: string; pool: string }[]> {
  if (nodes.length === 0) return [];
  const { rows } = await client.query<{ name: string; pool: string }>({
    name: "declare-lost",
    text: `UPDATE nodes n SET lost_since = now(), reachable = false, version = n.version + 1 FROM shards s
      WHERE n.name = ANY ($1) AND n.lost_since IS NULL AND s.name = n.shard
        AND (s.last_seen IS NULL OR s.last_seen <= now() - make_interval(secs => $2) OR s.dead_since IS NOT NULL OR n.away_since <= now() - make_interval(secs => $2))
      RETURNING n.name, n.pool`,
    values: [nodes, silentFor],
  });
  return rows;
}

/** Current attempts with a worker on a lost node that isn't confirmed dead, but of jobs that were judged and hold the nodes they have left. */
export async function readAttemptsOnLostNodes(client: Client): Promise<AttemptId[]> {
  const { rows } = await client.query<AttemptId>({
    name: "read-attempts-on-lost-nodes",
    text: `SELECT DISTINCT w.job, w.incarnation::text, w.attempt FROM nodes n
        JOIN workers w ON w.node = n.name AND NOT w.released JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (w.job, w.incarnation, w.attempt)
        JOIN attempts a ON (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt) JOIN job_specs s ON s.job = w.job
      WHERE a.state <> 'ended' AND n.lost_since IS NOT NULL AND w.state NOT IN ('exited', 'lost') AND j.finished_at IS NULL AND NOT (j.state = 'recovering' AND j.holding_since IS NOT NULL) AND s.resolved->'recovery'->>'partition' IS DISTINCT FROM 'wait'`,
  });
  return rows;
}

export interface ConditionRow {
  job: string;
  project: string;
  attempt: number;
}

/** Active jobs with live workers on these nodes become `unreachable`. Returns those that weren't. */
export async function addUnreachable(client: Client, nodes: readonly string[]): Promise<ConditionRow[]> {
  if (nodes.length === 0) return [];
  const { rows } = await client.query<ConditionRow>({
    name: "add-unreachable",
    text: `UPDATE jobs j SET conditions = array_append(j.conditions, 'unreachable'), version = j.version + 1
      WHERE j.state IN ('starting', 'running', 'recovering', 'stopping') AND NOT 'unreachable' = ANY (j.conditions)
        AND j.id IN (SELECT w.job FROM workers w WHERE w.node = ANY ($1) AND NOT w.released AND w.state IN ('starting', 'running')
          AND (w.incarnation, w.attempt) = (j.incarnation, j.attempt))
      RETURNING j.id AS job, j.project, j.attempt`,
    values: [nodes],
  });
  return rows;
}

/** Jobs whose live workers are all on other nodes than these are `unreachable` no more. */
export async function dropUnreachable(client: Client, nodes: readonly string[]): Promise<ConditionRow[]> {
  const { rows } = await client.query<ConditionRow>({
    name: "drop-unreachable",
    text: `UPDATE jobs j SET conditions = array_remove(j.conditions, 'unreachable'), version = j.version + 1
      WHERE j.finished_at IS NULL AND j.state IN ('starting', 'running', 'recovering', 'stopping') AND 'unreachable' = ANY (j.conditions)
        AND NOT EXISTS (SELECT FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (j.id, j.incarnation, j.attempt) AND w.state IN ('starting', 'running') AND w.node = ANY ($1))
      RETURNING j.id AS job, j.project, j.attempt`,
    values: [nodes],
  });
  return rows;
}

/** Whether workers of attempts that are over, or not current, may still live on this shard. */
export async function hasOldWorkers(client: Client, shard: string): Promise<boolean> {
  const { rows } = await client.query<{ old: boolean }>({
    name: "has-old-workers",
    text: `SELECT EXISTS (SELECT FROM nodes n JOIN workers w ON w.node = n.name AND NOT w.released JOIN jobs j ON j.id = w.job
        JOIN attempts a ON (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt)
      WHERE n.shard = $1 AND w.state IN ('starting', 'running') AND (a.state = 'ended' OR (j.incarnation, j.attempt) <> (w.incarnation, w.attempt))) AS old`,
    values: [shard],
  });
  return rows[0]?.old ?? false;
}

/**
 * Commits of superseded attempts that nobody can put beyond reach now: their maker's node is lost, and what it may still
 * write there can't be trusted. The next attempt starts from an older one. Sealed after all when the node returns.
 */
export async function giveUpSealing(client: Client, attempts: readonly AttemptId[]): Promise<void> {
  if (attempts.length === 0) return;
  await client.query({
    name: "give-up-sealing",
    text: `UPDATE checkpoints c SET seal_error = 'its node was lost before it was put beyond the attempt''s reach'
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt), workers w, nodes n
      WHERE (c.job, c.incarnation, c.attempt) = (k.job, k.incarnation, k.attempt) AND c.sealed_at IS NULL AND c.seal_error IS NULL
        AND (w.job, w.incarnation, w.attempt, w.worker) = (c.job, c.incarnation, c.attempt, c.worker) AND n.name = w.node AND n.lost_since IS NOT NULL`,
    values: columns(attempts),
  });
}

/** The brake's record among the incidents: since when it is on, and when it was last lifted; milliseconds since 1970. */
export async function readBrake(client: Client): Promise<{ incident: string | null; since: number | null; liftedAt: number | null }> {
  const { rows } = await client.query<{ incident: string | null; since: number | null; lifted_at: number | null }>({
    name: "read-brake",
    text: `SELECT max(id) FILTER (WHERE closed_at IS NULL) AS incident, (extract(epoch FROM max(opened_at) FILTER (WHERE closed_at IS NULL)) * 1000)::float8 AS since,
      (extract(epoch FROM max(closed_at)) * 1000)::float8 AS lifted_at FROM incidents WHERE kind = 'mass_silence'`,
  });
  const row = rows[0];
  return { incident: row?.incident ?? null, since: row?.since ?? null, liftedAt: row?.lifted_at ?? null };
}

/** Closes an incident with what ended it. @returns whether it was open */
export async function closeIncident(client: Client, id: string, how: string): Promise<boolean> {
  const { rowCount } = await client.query({
    name: "close-incident",
    text: "UPDATE incidents SET closed_at = now(), action = concat_ws('; ', action, $2::text) WHERE id = $1 AND closed_at IS NULL",
    values: [id, how],
  });
  return rowCount === 1;
}
