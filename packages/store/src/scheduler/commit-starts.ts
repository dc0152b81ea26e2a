import { appendEvents } from "../events.ts";
import { checkLease, type Lease } from "../leases.ts";
import { transaction, type Pool } from "../pool.ts";

export interface NewWorker {
  role: string;
  nodeRank: number;
  /** First rank within the role, and how many. */
  firstRank: number;
  ranks: number;
  node: string;
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

export interface StartsCommitted {
  /** Attempts that are open now, by job. */
  opened: Map<string, { incarnation: string; attempt: number; version: number }>;
  /** Nodes that take nothing at the moment, so that starts on them were dropped. */
  closedNodes: string[];
}

/**
 * Opens attempts in one transaction: those whose job changed meanwhile, or one of whose nodes takes nothing any more, are
 * dropped whole; the others are durable when this resolves. Over-committing a device fails the transaction (MU002 or 23514).
 */
export async function commitStarts(pool: Pool, lease: Lease, holder: string, starts: readonly NewAttempt[]): Promise<StartsCommitted> {
  return transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    const names = [...new Set(starts.flatMap((start) => start.workers.map((worker) => worker.node)))].sort();
    const nodes = await client.query<{ name: string; shard: string }>({
      name: "scheduler-lock-nodes",
      text: "SELECT name, shard FROM nodes WHERE name = ANY($1::text[]) AND schedulable AND reachable ORDER BY name FOR SHARE",
      values: [names],
    });
    const shards = new Map(nodes.rows.map((row) => [row.name, row.shard]));
    const closedNodes = names.filter((name) => !shards.has(name));
    const possible = starts.filter((start) => start.workers.every((worker) => shards.has(worker.node)));
    const changed = await client.query<{ id: string; project: string; queue: string; incarnation: string; attempt: number; version: number }>({
      name: "scheduler-open-jobs",
      text: `UPDATE jobs j SET state = 'scheduled', state_since = now(), attempt = j.attempt + 1, incarnation = c.incarnation, variant = s.variant,
          wait_reason = NULL, wait_since = NULL, not_before = NULL, not_before_reason = NULL, version = j.version + 1
        FROM unnest($1::text[], $2::int[], $3::int[], $4::smallint[]) AS s(id, attempt, version, variant), cluster c
        WHERE j.id = s.id AND j.state = 'queued' AND j.attempt = s.attempt AND j.version = s.version AND NOT c.starts_paused
        RETURNING j.id, j.project, j.queue, j.incarnation::text, j.attempt, j.version`,
      values: [possible.map((start) => start.job), possible.map((start) => start.expected.attempt), possible.map((start) => start.expected.version), possible.map((start) => start.variant)],
    });
    const opened = new Map(changed.rows.map((row) => [row.id, row]));
    const made = possible.filter((start) => opened.has(start.job));
    if (made.length === 0) return { opened: new Map(), closedNodes };
    await client.query({
      name: "scheduler-open-attempts",
      text: `INSERT INTO attempts (job, incarnation, number, gang, variant, rendezvous_address, rendezvous_port, resume_reason)
        SELECT s.job, s.incarnation, s.number, s.gang, s.variant, s.address, s.port,
          (SELECT coalesce(a.failure_class, a.outcome) FROM attempts a WHERE s.number > 1 AND a.job = s.job ORDER BY a.incarnation DESC, a.number DESC LIMIT 1)
        FROM unnest($1::text[], $2::bigint[], $3::int[], $4::int[], $5::smallint[], $6::text[], $7::int[]) AS s(job, incarnation, number, gang, variant, address, port)`,
      values: [
        made.map((start) => start.job),
        made.map((start) => opened.get(start.job)?.incarnation),
        made.map((start) => opened.get(start.job)?.attempt),
        made.map((start) => start.workers.length),
        made.map((start) => start.variant),
        made.map((start) => start.rendezvous.address),
        made.map((start) => start.rendezvous.port),
      ],
    });
    const workers = made.flatMap((start) => start.workers.map((worker) => ({ ...worker, job: start.job, of: opened.get(start.job) })));
    await client.query({
      name: "scheduler-add-workers",
      text: `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
        SELECT job, incarnation, attempt, role || '/' || node_rank, role, node_rank, first_rank, ranks, node, shard, devices::smallint[], share, cpus, memory
        FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::int[], $6::int[], $7::int[], $8::text[], $9::text[], $10::text[], $11::smallint[], $12::int[], $13::bigint[])
          AS w(job, incarnation, attempt, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)`,
      values: [
        workers.map((worker) => worker.job),
        workers.map((worker) => worker.of?.incarnation),
        workers.map((worker) => worker.of?.attempt),
        workers.map((worker) => worker.role),
        workers.map((worker) => worker.nodeRank),
        workers.map((worker) => worker.firstRank),
        workers.map((worker) => worker.ranks),
        workers.map((worker) => worker.node),
        workers.map((worker) => shards.get(worker.node)),
        workers.map((worker) => `{${worker.devices.join(",")}}`),
        workers.map((worker) => worker.share),
        workers.map((worker) => worker.cpus),
        workers.map((worker) => worker.memory),
      ],
    });
    await appendEvents(
      client,
      made.map((start) => {
        const row = opened.get(start.job);
        const nodes = [...new Set(start.workers.map((worker) => worker.node))];
        return {
          kind: "job.scheduled",
          actor: "scheduler",
          project: row?.project ?? null,
          job: start.job,
          attempt: row?.attempt ?? null,
          queue: row?.queue ?? null,
          data: { attempt: row?.attempt, nodes, variant: start.variant, why: start.why, locality: start.locality },
        };
      }),
    );
    return { opened, closedNodes };
  });
}
