import type { JobState } from "@muster/model";
import type { Client } from "../pool.ts";

/** One job to insert; what is the same for all new jobs is not here. */
export interface NewJob {
  id: string;
  project: string;
  queue: string;
  name: string;
  submitter: string;
  labels: Record<string, string>;
  priority: number;
  priorityClass: string;
  preemptible: boolean;
  arrayId: string | null;
  arrayIndex: number | null;
  arrayLimit: number | null;
  nodes: number;
  devices: number;
  held: boolean;
  unmetDependencies: number;
  notBefore: string | null;
  submitted: string;
  resolved: string;
  sourceCommit: string | null;
  dependencies: readonly NewDependency[];
}

export interface NewDependency {
  on: string;
  condition: "succeeded" | "failed" | "finished" | "started";
  state: "open" | "met" | "never";
}

/** The time of the caller's transaction, and the incarnation that new jobs get, which can't change before it ends. */
export async function lockIncarnation(client: Client): Promise<{ at: Date; incarnation: string }> {
  const { rows } = await client.query<{ at: Date; incarnation: string }>({
    name: "api-lock-incarnation",
    text: "SELECT now() AS at, incarnation::text FROM cluster FOR SHARE",
  });
  if (!rows[0]) throw new Error("The database has no cluster row");
  return rows[0];
}

/** Inserts jobs, their specs and the first event of each, in one statement. */
export async function insertJobs(client: Client, incarnation: string, jobs: readonly NewJob[]): Promise<void> {
  await client.query({
    name: "api-insert-jobs",
    text: `WITH n AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::int[], $8::text[], $9::bool[],
          $10::text[], $11::int[], $12::int[], $13::int[], $14::int[], $15::bool[], $16::int[], $17::timestamptz[], $19::jsonb[], $20::jsonb[], $21::text[])
          AS n(id, project, queue, name, submitter, labels, priority, priority_class, preemptible, array_id, array_index, array_limit,
            nodes, devices, held, unmet, not_before, submitted, resolved, source_commit)
      ), inserted_jobs AS (
        INSERT INTO jobs (id, project, queue, name, submitter, labels, priority, priority_class, preemptible, array_id, array_index,
          array_limit, nodes, devices, state, unmet_dependencies, not_before, not_before_reason, wait_reason, wait_since, incarnation, submitted_at)
        SELECT id, project, queue, name, submitter, labels, priority, priority_class, preemptible, array_id, array_index, array_limit,
          nodes, devices, CASE WHEN held THEN 'held' ELSE 'queued' END, unmet, not_before, CASE WHEN not_before IS NOT NULL THEN 'start_after' END,
          CASE WHEN held THEN 'held' WHEN unmet > 0 THEN 'dependency' ELSE 'pending_evaluation' END, now(), $18, now()
        FROM n
      ), inserted_specs AS (
        INSERT INTO job_specs (job, submitted, resolved, source_commit) SELECT id, submitted, resolved, source_commit FROM n
      )
      INSERT INTO events (kind, actor, project, job, queue, data)
      SELECT 'job.submitted', submitter, project, id, queue,
        jsonb_build_object('name', name, 'priority', priority_class, 'nodes', nodes, 'devices', devices, 'held', held)
      FROM n`,
    values: [
      jobs.map((job) => job.id),
      jobs.map((job) => job.project),
      jobs.map((job) => job.queue),
      jobs.map((job) => job.name),
      jobs.map((job) => job.submitter),
      jobs.map((job) => JSON.stringify(job.labels)),
      jobs.map((job) => job.priority),
      jobs.map((job) => job.priorityClass),
      jobs.map((job) => job.preemptible),
      jobs.map((job) => job.arrayId),
      jobs.map((job) => job.arrayIndex),
      jobs.map((job) => job.arrayLimit),
      jobs.map((job) => job.nodes),
      jobs.map((job) => job.devices),
      jobs.map((job) => job.held),
      jobs.map((job) => job.unmetDependencies),
      jobs.map((job) => job.notBefore),
      incarnation,
      jobs.map((job) => job.submitted),
      jobs.map((job) => job.resolved),
      jobs.map((job) => job.sourceCommit),
    ],
  });
}

export async function insertDependencies(client: Client, jobs: readonly NewJob[]): Promise<void> {
  const all = jobs.flatMap((job) => job.dependencies.map((dependency) => ({ job: job.id, ...dependency })));
  if (all.length === 0) return;
  await client.query({
    name: "api-insert-dependencies",
    text: `INSERT INTO job_dependencies (job, on_job, condition, state) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
      ON CONFLICT DO NOTHING`,
    values: [all.map((one) => one.job), all.map((one) => one.on), all.map((one) => one.condition), all.map((one) => one.state)],
  });
}

export interface DependencyTarget {
  id: string;
  state: JobState;
  started: boolean;
}

/** Jobs that new ones wait for, locked so that none of them ends before the new ones are there to be told. */
export async function lockDependencies(client: Client, ids: readonly string[]): Promise<DependencyTarget[]> {
  const { rows } = await client.query<DependencyTarget>({
    name: "api-lock-dependencies",
    text: "SELECT id, state, started_at IS NOT NULL AS started FROM jobs WHERE id = ANY($1::text[]) ORDER BY id FOR SHARE",
    values: [ids],
  });
  return rows;
}

/**
 * The jobs that a name or an id stands for within a project: the job of that id, or the newest of that name; of an array
 * that is named, or meant by its first element's id, every element.
 */
export async function findDependencies(client: Client, project: string, reference: string, limit: number): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>({
    name: "api-find-dependencies",
    text: `WITH one AS (
        (SELECT id, array_id FROM jobs WHERE id = $2 AND project = $1)
        UNION ALL
        (SELECT id, array_id FROM jobs WHERE project = $1 AND name = $2 ORDER BY id DESC LIMIT 1)
        LIMIT 1)
      SELECT j.id FROM jobs j, one WHERE one.array_id IS NOT NULL AND (one.id = one.array_id OR one.id <> $2) AND j.array_id = one.array_id
      UNION SELECT one.id FROM one LIMIT $3`,
    values: [project, reference, limit],
  });
  return rows.map((row) => row.id);
}

export interface IdempotencyKey {
  subject: string;
  key: string;
  bodyHash: Buffer;
  status: number;
  /** JSON text of the answer. */
  response: string;
}

/** Keeps keys with their answers. @returns those that are new; the others were used before, and keep their first answer. */
export async function insertIdempotencyKeys(client: Client, keys: readonly IdempotencyKey[]): Promise<Set<string>> {
  const { rows } = await client.query<{ subject: string; key: string }>({
    name: "api-insert-keys",
    text: `INSERT INTO idempotency_keys (subject, key, body_hash, status, response)
      SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::jsonb[])
      ON CONFLICT DO NOTHING RETURNING subject, key`,
    values: [
      keys.map((key) => key.subject),
      keys.map((key) => key.key),
      keys.map((key) => key.bodyHash),
      keys.map((key) => key.status),
      keys.map((key) => key.response),
    ],
  });
  return new Set(rows.map((row) => keyText(row)));
}

export function keyText(key: { subject: string; key: string }): string {
  return JSON.stringify([key.subject, key.key]);
}

export async function getIdempotencyKey(
  client: Client,
  subject: string,
  key: string,
): Promise<{ body_hash: Buffer; status: number; response: unknown } | undefined> {
  const { rows } = await client.query<{ body_hash: Buffer; status: number; response: unknown }>({
    name: "api-get-key",
    text: "SELECT body_hash, status, response FROM idempotency_keys WHERE subject = $1 AND key = $2",
    values: [subject, key],
  });
  return rows[0];
}

/** Forgets keys older than a day's multiple. @param hours how long a key is kept */
export async function pruneIdempotencyKeys(client: Client, hours: number): Promise<void> {
  await client.query({ name: "api-prune-keys", text: "DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1)", values: [hours] });
}
