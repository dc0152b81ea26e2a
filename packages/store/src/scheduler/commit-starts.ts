import { LeaseLost, type Lease } from "../leases.ts";
import type { Client } from "../pool.ts";

export interface NewWorker {
  role: string;
  nodeRank: number;
  /** First rank within the role, and how many. */
  firstRank: number;
  ranks: number;
  node: string;
  shard: string;
  devices: readonly number[];
  share: number;
  cpus: number;
  memory: number;
}

/** One gang start, with what it was decided on: nothing is written unless the job is still as it was. */
export interface NewAttempt {
  job: string;
  expected: { attempt: number; version: number };
  variant: number;
  rendezvous: { address: string; port: number };
  workers: readonly NewWorker[];
  /** Said in the event. */
  why: string;
  locality: number;
}

export interface OpenedAttempt {
  incarnation: string;
  attempt: number;
  version: number;
}

export interface StartsCommitted {
  /** Attempts that are open now, by job; those missing met a job that changed. */
  opened: Map<string, OpenedAttempt>;
  /** Nodes that take nothing at the moment: where there is one, nothing at all was written. */
  closedNodes: string[];
}

/*
 * One statement, and so one transaction and one round trip. The lease and the nodes are locked shared before any job is
 * changed; attempts, workers and events are made of the jobs that really changed.
 */
const OPEN = `WITH lease AS (
    SELECT FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 FOR SHARE
  ), open_nodes AS (
    SELECT n.name FROM unnest($4::text[], $5::text[]) AS u(name, shard) JOIN nodes n ON n.name = u.name AND n.shard = u.shard
    WHERE n.schedulable AND n.reachable ORDER BY n.name FOR SHARE OF n
  ), opened AS (
    UPDATE jobs j SET state = 'scheduled', state_since = now(), attempt = j.attempt + 1, incarnation = c.incarnation, variant = s.variant,
      wait_reason = NULL, wait_since = NULL, not_before = NULL, not_before_reason = NULL, version = j.version + 1
    FROM unnest($6::text[], $7::int[], $8::int[], $9::smallint[], $10::text[], $11::int[], $12::jsonb[], $13::jsonb[])
      AS s(id, attempt, version, variant, address, port, workers, data), cluster c
    WHERE EXISTS (SELECT FROM lease) AND (SELECT count(*) FROM open_nodes) = cardinality($4::text[]) AND NOT c.starts_paused
      AND j.id = s.id AND j.state = 'queued' AND j.attempt = s.attempt AND j.version = s.version
    RETURNING j.id, j.project, j.queue, j.incarnation, j.attempt, j.version, j.variant, s.address, s.port, s.workers, s.data
  ), new_attempts AS (
    INSERT INTO attempts (job, incarnation, number, gang, variant, rendezvous_address, rendezvous_port, resume_reason)
    SELECT o.id, o.incarnation, o.attempt, jsonb_array_length(o.workers), o.variant, o.address, o.port,
      CASE WHEN o.attempt > 1 THEN (SELECT coalesce(a.failure_class, a.outcome) FROM attempts a WHERE a.job = o.id ORDER BY a.incarnation DESC, a.number DESC LIMIT 1) END
    FROM opened o
  ), new_workers AS (
    INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
    SELECT o.id, o.incarnation, o.attempt, w.role || '/' || w."nodeRank", w.role, w."nodeRank", w."firstRank", w.ranks, w.node, w.shard, w.devices, w.share, w.cpus, w.memory
    FROM opened o CROSS JOIN LATERAL jsonb_to_recordset(o.workers)
      AS w(role text, "nodeRank" int, "firstRank" int, ranks int, node text, shard text, devices smallint[], share smallint, cpus int, memory bigint)
  ), new_events AS (
    INSERT INTO events (kind, actor, project, job, attempt, queue, data)
    SELECT 'job.scheduled', 'scheduler', o.project, o.id, o.attempt, o.queue, o.data || jsonb_build_object('attempt', o.attempt) FROM opened o
  )
  SELECT EXISTS (SELECT FROM lease) AS leading, (SELECT coalesce(array_agg(name), '{}') FROM open_nodes) AS nodes,
    (SELECT coalesce(json_agg(json_build_array(o.id, o.incarnation::text, o.attempt, o.version)), '[]') FROM opened o) AS opened`;

/**
 * Opens attempts in one transaction: starts whose job changed meanwhile are dropped whole; the others are durable when this
 * resolves. Fails with MU002 or 23514, having written nothing, where more would be assigned than there is.
 */
export async function commitStarts(client: Client, lease: Lease, holder: string, starts: readonly NewAttempt[]): Promise<StartsCommitted> {
  const shards = new Map(starts.flatMap((start) => start.workers.map((worker) => [worker.node, worker.shard] as const)));
  const names = [...shards.keys()].sort();
  const { rows } = await client.query<{ leading: boolean; nodes: string[]; opened: [string, string, number, number][] }>({
    name: "scheduler-open",
    text: OPEN,
    values: [
      lease.name,
      holder,
      lease.epoch,
      names,
      names.map((name) => shards.get(name)),
      starts.map((start) => start.job),
      starts.map((start) => start.expected.attempt),
      starts.map((start) => start.expected.version),
      starts.map((start) => start.variant),
      starts.map((start) => start.rendezvous.address),
      starts.map((start) => start.rendezvous.port),
      starts.map((start) => JSON.stringify(start.workers)),
      starts.map((start) =>
        JSON.stringify({ nodes: [...new Set(start.workers.map((worker) => worker.node))], variant: start.variant, why: start.why, locality: start.locality }),
      ),
    ],
  });
  const row = rows[0];
  if (!row?.leading) throw new LeaseLost(`${lease.name} is no longer ours`);
  const open = new Set(row.nodes);
  return {
    opened: new Map(row.opened.map(([job, incarnation, attempt, version]) => [job, { incarnation, attempt, version }])),
    closedNodes: names.filter((name) => !open.has(name)),
  };
}
