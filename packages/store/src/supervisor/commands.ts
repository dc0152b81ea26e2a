import type { ResolvedJobSpec } from "@muster/model";
import type { Client } from "../pool.ts";
import { columns, type AttemptId, type WorkerId } from "./attempt-key.ts";

/** A worker for which a command waits to be sent to its engine, with what the command needs. */
export interface CommandRow extends WorkerId {
  role: string;
  node_rank: number;
  first_rank: number;
  ranks: number;
  node: string;
  vendor: string;
  /** What the pool gives to workers where the engine runs images. */
  runtime: { image?: string; env?: Record<string, string> } | null;
  devices: number[];
  share: number;
  cpus: number;
  memory: string;
  desired: "run" | "stop" | "kill";
  grace: number;
  inspect: boolean;
  checkpoint_asked: boolean;
  state: string;
  job_state: string;
  project: string;
  array_index: number | null;
  attempt_state: string;
  gang: number;
  variant: number;
  rendezvous_address: string;
  rendezvous_port: number;
  resume_reason: string | null;
  resolved: ResolvedJobSpec;
  source_commit: string | null;
  current: boolean;
}

export async function readCommands(client: Client, shard: string, limit: number): Promise<CommandRow[]> {
  const { rows } = await client.query<CommandRow>({
    name: "read-commands",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.worker, w.role, w.node_rank, w.first_rank, w.ranks, w.node, p.vendor, p.spec->'runtime' AS runtime,
        w.devices, w.share, w.cpus, w.memory::text, w.desired, w.grace, w.inspect, w.checkpoint_asked, w.state, j.state AS job_state, j.project, j.array_index,
        a.state AS attempt_state, a.gang, a.variant, a.rendezvous_address, a.rendezvous_port, a.resume_reason,
        CASE WHEN w.desired = 'run' THEN s.resolved END AS resolved, s.source_commit,
        (j.incarnation, j.attempt) = (w.incarnation, w.attempt) AS current
      FROM workers w
        JOIN attempts a ON (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt)
        JOIN jobs j ON j.id = w.job
        JOIN job_specs s ON s.job = w.job
        JOIN nodes n ON n.name = w.node
        JOIN pools p ON p.name = n.pool
      WHERE w.shard = $1 AND w.todo
      ORDER BY w.job, w.node_rank LIMIT $2`,
    values: [shard, limit],
  });
  return rows;
}

export interface PeerRow extends AttemptId {
  role: string;
  node_rank: number;
  node: string;
  shard: string;
  address: string;
}

/** All workers of these attempts in rank order, with their nodes' addresses. */
export async function readPeers(client: Client, attempts: readonly AttemptId[]): Promise<PeerRow[]> {
  const { rows } = await client.query<PeerRow>({
    name: "read-peers",
    text: `SELECT w.job, w.incarnation::text, w.attempt, w.role, w.node_rank, w.node, w.shard, n.address
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
        JOIN workers w USING (job, incarnation, attempt) JOIN nodes n ON n.name = w.node
      ORDER BY w.job, w.role, w.node_rank`,
    values: columns(attempts),
  });
  return rows;
}

/**
 * Jobs whose next attempt may not start yet: a worker of an older attempt on a reachable node isn't confirmed dead, or the
 * newest commit is neither sealed nor known to be unusable.
 */
export async function readBlockedStarts(client: Client, attempts: readonly AttemptId[]): Promise<Map<string, "fence" | "seal">> {
  const { rows } = await client.query<{ job: string; why: "fence" | "seal" }>({
    name: "read-blocked-starts",
    text: `SELECT k.job, CASE WHEN fenced THEN 'fence' ELSE 'seal' END AS why
      FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt),
        LATERAL (SELECT EXISTS (SELECT FROM workers o JOIN nodes n ON n.name = o.node
          WHERE o.job = k.job AND (o.incarnation, o.attempt) < (k.incarnation, k.attempt) AND o.state NOT IN ('exited', 'lost') AND n.reachable) AS fenced) f,
        LATERAL (SELECT EXISTS (SELECT FROM checkpoints c WHERE c.job = k.job AND c.sealed_at IS NULL AND c.seal_error IS NULL AND NOT c.pruned) AS sealing) s
      WHERE fenced OR sealing`,
    values: columns(attempts),
  });
  return new Map(rows.map((row) => [row.job, row.why]));
}

/** The sealed path that each job resumes from, if it has one. */
export async function readResumePaths(client: Client, jobs: readonly string[]): Promise<Map<string, { id: number; path: string; step: number }>> {
  const { rows } = await client.query<{ job: string; id: number; path: string; step: number }>({
    name: "read-resume-paths",
    text: `SELECT DISTINCT ON (c.job) c.job, c.id, c.sealed_path AS path, c.step FROM checkpoints c
      WHERE c.job = ANY ($1) AND c.sealed_path IS NOT NULL AND NOT c.pruned ORDER BY c.job, c.id DESC`,
    values: [jobs],
  });
  return new Map(rows.map((row) => [row.job, row]));
}

/**
 * Marks starts as handed over, before they are: what is handed over and never arrives is found when the engine's snapshot
 * lacks it. Returns those that still were to be started.
 */
export async function markHandedOver(
  client: Client,
  workers: readonly WorkerId[],
  resume: ReadonlyMap<string, { id: number }>,
): Promise<{ started: Set<string>; jobs: { job: string; attempt: number; project: string }[] }> {
  const keys = columns(workers);
  const { rows } = await client.query<WorkerId>({
    name: "mark-handed-over",
    text: `UPDATE workers w SET state = 'starting', todo = false
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[]) AS k(job, incarnation, attempt, worker)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker)
        AND w.todo AND w.desired = 'run' AND w.state IN ('pending', 'starting')
      RETURNING w.job, w.incarnation::text, w.attempt, w.worker`,
    values: [...keys, workers.map((worker) => worker.worker)],
  });
  const attempts = [...new Map(rows.map((row) => [row.job, row])).values()];
  await client.query({
    name: "mark-attempts-starting",
    text: `UPDATE attempts a SET state = 'starting', starting_at = now(), resume_checkpoint = k.resume
      FROM unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[]) AS k(job, incarnation, attempt, resume)
      WHERE (a.job, a.incarnation, a.number) = (k.job, k.incarnation, k.attempt) AND a.state = 'scheduled'`,
    values: [...columns(attempts), attempts.map((one) => resume.get(one.job)?.id ?? null)],
  });
  const { rows: jobs } = await client.query<{ job: string; attempt: number; project: string }>({
    name: "mark-jobs-starting",
    text: `UPDATE jobs SET state = 'starting', state_since = now(), version = version + 1
      WHERE id = ANY ($1) AND state = 'scheduled' RETURNING id AS job, attempt, project`,
    values: [attempts.map((one) => one.job)],
  });
  return { started: new Set(rows.map((row) => `${row.job}/${row.incarnation}/${row.attempt}/${row.worker}`)), jobs };
}

/** A command could not be delivered, or has to be sent again. */
export async function setTodo(client: Client, workers: readonly WorkerId[], todo: boolean): Promise<void> {
  if (workers.length === 0) return;
  await client.query({
    name: "set-todo",
    text: `UPDATE workers w SET todo = $5 FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[]) AS k(job, incarnation, attempt, worker)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker) AND w.todo <> $5 AND w.state NOT IN ('exited', 'lost')`,
    values: [...columns(workers), workers.map((worker) => worker.worker), todo],
  });
}

/** "Checkpoint now" was delivered to these workers. */
export async function checkpointDelivered(client: Client, workers: readonly WorkerId[]): Promise<void> {
  await client.query({
    name: "checkpoint-delivered",
    text: `UPDATE workers w SET checkpoint_asked = false, todo = w.desired <> 'run' FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[]) AS k(job, incarnation, attempt, worker)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker)`,
    values: [...columns(workers), workers.map((worker) => worker.worker)],
  });
}

/** A stop was delivered; cleared only while it still is the newest wish. */
export async function stopDelivered(client: Client, workers: readonly (WorkerId & { desired: string; grace: number })[]): Promise<void> {
  if (workers.length === 0) return;
  await client.query({
    name: "stop-delivered",
    text: `UPDATE workers w SET todo = false FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::int[]) AS k(job, incarnation, attempt, worker, desired, grace)
      WHERE (w.job, w.incarnation, w.attempt, w.worker) = (k.job, k.incarnation, k.attempt, k.worker) AND w.todo AND (w.desired, w.grace) = (k.desired, k.grace)`,
    values: [...columns(workers), workers.map((worker) => worker.worker), workers.map((worker) => worker.desired), workers.map((worker) => worker.grace)],
  });
}
