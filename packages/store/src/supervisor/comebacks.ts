import type { ResolvedJobSpec } from "@muster/model";
import type { Client } from "../pool.ts";
import { rendezvousPort } from "../rendezvous.ts";
import { columns, type AttemptId } from "./attempt-key.ts";

/* What a job that comes back without the queue needs: its places, what may stand in for those that are out, and the next attempt. */

/** Where a worker of the attempt that failed was, and how its node is now. */
export interface PlaceRow extends AttemptId {
  role: string;
  node_rank: number;
  ranks: number;
  node: string;
  shard: string;
  devices: number[];
  share: number;
  cpus: number;
  memory: number;
  pool: string;
  fabric: string[];
  levels: string[] | null;
  address: string;
  health: string;
  /** Why nothing new may go there; null: something may. */
  out: string | null;
}

export interface ComebackRow extends AttemptId {
  variant: number;
  resolved: ResolvedJobSpec;
  excluded: string[];
  /** Seconds since it holds its nodes; null: it doesn't. */
  held_for: number | null;
  others_hold: boolean;
  starts_paused: boolean;
}

/** Of a node `n` and a window `v`. */
const IN_WINDOW = `(v.spec->'nodes' ? n.name OR (v.spec->>'pool' = n.pool
  AND n.fabric[1:jsonb_array_length(v.spec->'block')] = ARRAY (SELECT jsonb_array_elements_text(v.spec->'block'))))`;

/** @param attempts locked, and failed */
export async function readComebacks(client: Client, attempts: readonly AttemptId[]): Promise<{ jobs: ComebackRow[]; places: PlaceRow[] }> {
  const { rows: places } = await client.query<PlaceRow>({
    name: "read-places",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.role, w.node_rank, w.ranks, w.node, w.shard, w.devices, w.share, w.cpus, w.memory::float8 AS memory, n.pool, n.fabric,
        ARRAY (SELECT jsonb_array_elements_text(p.spec->'fabric_levels')) AS levels, n.address, n.health,
        CASE WHEN n.lost_since IS NOT NULL THEN 'lost' WHEN NOT n.reachable THEN 'unreachable' WHEN NOT n.schedulable THEN n.health
          ELSE (SELECT 'in window ' || v.name FROM windows v WHERE v.starts_at <= now() AND v.ends_at > now() AND ${IN_WINDOW}
            AND NOT (v.spec->'jobs' ? j.id OR v.spec->'queues' ? j.queue) ORDER BY v.name LIMIT 1) END AS out
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt) JOIN workers w USING (job, incarnation, attempt)
        JOIN jobs j ON j.id = w.job JOIN nodes n ON n.name = w.node JOIN pools p ON p.name = n.pool
      ORDER BY w.job, w.role, w.node_rank`,
    values: columns(attempts),
  });
  const { rows: jobs } = await client.query<ComebackRow>({
    name: "read-comebacks",
    text: `SELECT j.id AS job, a.incarnation::text, a.number AS attempt, a.variant, s.resolved, j.excluded_nodes AS excluded,
        extract(epoch FROM now() - j.holding_since)::float8 AS held_for, c.starts_paused,
        EXISTS (SELECT FROM jobs o JOIN workers ow ON ow.job = o.id AND NOT ow.released JOIN nodes n ON n.name = ow.node
          WHERE o.holding_since IS NOT NULL AND o.id <> j.id AND (j.holding_since IS NULL OR (o.holding_since, o.id) < (j.holding_since, j.id))
            AND n.pool IN (SELECT m.pool FROM workers w JOIN nodes m ON m.name = w.node WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number))) AS others_hold
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, number) JOIN attempts a USING (job, incarnation, number)
        JOIN jobs j ON j.id = a.job JOIN job_specs s ON s.job = a.job, cluster c`,
    values: columns(attempts),
  });
  return { jobs, places };
}

export interface StandbyRow {
  node: string;
  shard: string;
  pool: string;
  health: string;
  fabric: string[];
  spare: boolean;
  held: number[];
  cpus: number;
  memory: number;
  address: string;
}

const STANDBY = `SELECT n.name AS node, n.shard, n.pool, n.health, n.fabric, n.spare, u.held, n.cpus - u.cpus AS cpus, (n.memory - u.memory)::float8 AS memory, n.address
  FROM nodes n JOIN node_usage u ON u.node = n.name WHERE n.schedulable AND n.reachable AND n.lost_since IS NULL
    AND NOT EXISTS (SELECT FROM windows v WHERE v.ends_at > now() AND ${IN_WINDOW})`;

/** Nodes of these pools that take work, with what is free there; none of a window to come, as only the scheduler knows who is done before it. */
export async function readStandbys(client: Client, pools: readonly string[]): Promise<StandbyRow[]> {
  if (pools.length === 0) return [];
  return (await client.query<StandbyRow>({ name: "read-standbys", text: `${STANDBY} AND n.pool = ANY ($1)`, values: [[...new Set(pools)]] })).rows;
}

/** Those of these that nobody else is taking something of now, as they are; until the transaction ends nobody does. */
export async function lockStandbys(client: Client, nodes: readonly string[]): Promise<StandbyRow[]> {
  const { rows } = await client.query<{ node: string }>({
    name: "lock-standbys",
    text: "SELECT node FROM node_usage WHERE node = ANY ($1) ORDER BY node FOR UPDATE SKIP LOCKED",
    values: [nodes],
  });
  return (await client.query<StandbyRow>({ name: "locked-standbys", text: `${STANDBY} AND n.name = ANY ($1)`, values: [rows.map((row) => row.node)] })).rows;
}

export interface NextWorker {
  role: string;
  nodeRank: number;
  ranks: number;
  node: string;
  shard: string;
  devices: readonly number[];
  share: number;
  cpus: number;
  memory: number;
}

export interface Reopened extends AttemptId {
  variant: number;
  address: string;
  workers: readonly NextWorker[];
}

/** Opens the next attempts of jobs whose last one has ended in the same transaction and given back what it held. */
export async function reopenAttempts(client: Client, reopened: readonly Reopened[]): Promise<void> {
  for (const { job, attempt, variant, address, workers } of reopened) {
    const { rows: live } = await client.query<{ port: number }>({
      name: "used-ports",
      text: "SELECT rendezvous_port AS port FROM attempts WHERE rendezvous_address = $1 AND state <> 'ended'",
      values: [address],
    });
    const port = rendezvousPort(address, job, attempt + 1, new Set(live.map((row) => row.port)));
    await client.query({
      name: "reopen-attempt",
      text: `WITH reopened AS (
          UPDATE jobs j SET attempt = j.attempt + 1, incarnation = c.incarnation, variant = $2, wait_reason = NULL, wait_since = NULL, not_before = NULL, not_before_reason = NULL
          FROM cluster c WHERE j.id = $1 RETURNING j.id, j.incarnation, j.attempt
        ), opened AS (
          INSERT INTO attempts (job, incarnation, number, gang, variant, rendezvous_address, rendezvous_port, resume_reason)
          SELECT r.id, r.incarnation, r.attempt, jsonb_array_length($5::jsonb), $2, $3, $4,
            (SELECT coalesce(a.failure_class, a.outcome) FROM attempts a WHERE a.job = r.id ORDER BY a.incarnation DESC, a.number DESC LIMIT 1) FROM reopened r
        )
        INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
        SELECT r.id, r.incarnation, r.attempt, w.role || '/' || w."nodeRank", w.role, w."nodeRank", w."nodeRank" * w.ranks, w.ranks, w.node, w.shard, w.devices, w.share, w.cpus, w.memory
        FROM reopened r CROSS JOIN jsonb_to_recordset($5::jsonb)
          AS w(role text, "nodeRank" int, ranks int, node text, shard text, devices smallint[], share smallint, cpus int, memory bigint)`,
      values: [job, variant, address, port, JSON.stringify(workers)],
    });
  }
}
