import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { DEFAULT_PRIORITIES, makeId, resolveJobSpec } from "@muster/model";
import {
  appendEvents,
  changeAttempts,
  releaseEnded,
  changeJobs,
  ensureCluster,
  insertDependencies,
  insertJobs,
  readCluster,
  settleDependencies,
  transaction,
  type NewDependency,
  type NewJob,
  type Pool,
} from "@muster/store";

/* A cluster's rows, and what the API and the supervisor would write, for tests and benchmarks. */

export interface TestPool {
  name: string;
  accelerator: string;
  nodes: number;
  devices: number;
  /** Cpus of a node; 64 unless given. */
  cpus?: number;
  /** Nodes in one leaf; absent: no fabric. */
  leaf?: number;
}

export async function makeCluster(
  pool: Pool,
  pools: readonly TestPool[],
  queues: readonly { name: string; parent?: string; spec?: Record<string, unknown> }[] = [{ name: "default" }],
): Promise<void> {
  await ensureCluster(pool);
  await pool.query("INSERT INTO projects (name) VALUES ('default')");
  for (const queue of queues)
    await pool.query("INSERT INTO queues (name, parent, projects, spec) VALUES ($1, $2, '{*}', $3)", [queue.name, queue.parent ?? null, queue.spec ?? {}]);
  await pool.query("INSERT INTO shards (name, engine, reachable) VALUES ('test', 'simulated', true)");
  for (const { name, accelerator, nodes, devices, cpus = 64, leaf } of pools) {
    await pool.query("INSERT INTO pools (name, engine, vendor, accelerator, spec) VALUES ($1, 'simulated', 'other', $2, $3)", [
      name,
      accelerator,
      { fabric_levels: ["leaf"] },
    ]);
    await pool.query(
      `INSERT INTO nodes (name, pool, shard, fabric, devices, cpus, memory)
        SELECT $1::text || '-' || i, $1, 'test', CASE WHEN $4::int > 0 THEN ARRAY['leaf-' || i / $4::int] ELSE '{}'::text[] END, $3, $5, 1::bigint << 40
        FROM generate_series(0, $2::int - 1) AS i`,
      [name, nodes, devices, leaf ?? 0, cpus * 1000],
    );
  }
}

export interface TestJob extends Record<string, unknown> {
  after_ids?: string[];
}

export function newJob(spec: TestJob, now = Date.now(), array?: { id: string; index: number; limit: number | null }): NewJob {
  const { after_ids: after = [], ...submitted } = spec;
  const resolved = resolveJobSpec({ name: "job", run: ["true"], ...submitted });
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.errors));
  const { value } = resolved;
  return {
    id: makeId("job", now, randomBytes(10)),
    project: "default",
    queue: value.queue,
    name: value.name,
    submitter: "test",
    labels: {},
    priority: DEFAULT_PRIORITIES[value.priority] ?? Number(value.priority.replace("p", "")),
    priorityClass: value.priority,
    preemptible: value.preemptible,
    arrayId: array?.id ?? null,
    arrayIndex: array?.index ?? null,
    arrayLimit: array?.limit ?? null,
    nodes: 1,
    devices: 1,
    held: false,
    unmetDependencies: after.length,
    notBefore: value.start_after ?? null,
    submitted: "{}",
    resolved: JSON.stringify(value),
    sourceCommit: null,
    dependencies: after.map((on): NewDependency => ({ on, condition: "succeeded", state: "open" })),
  };
}

/** As the API submits: rows and events in one transaction. */
export async function submit(pool: Pool, jobs: readonly NewJob[]): Promise<string[]> {
  await transaction(pool, async (client) => {
    await insertJobs(client, (await readCluster(client)).incarnation, jobs);
    await insertDependencies(client, jobs);
  });
  return jobs.map((job) => job.id);
}

/** As the supervisor records that every worker of these jobs' attempts ended: they are done, or wait again. */
export async function endAttempts(pool: Pool, jobs: readonly string[], become: "succeeded" | "failed" | "cancelled" | "queued" = "succeeded"): Promise<void> {
  await transaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string; incarnation: string; attempt: number }>({
      name: "test-lock-jobs",
      text: "SELECT id, incarnation::text, attempt FROM jobs WHERE id = ANY($1::text[]) AND finished_at IS NULL AND attempt > 0 ORDER BY id FOR UPDATE",
      values: [jobs],
    });
    const attempts = rows.map((row) => ({ job: row.id, incarnation: row.incarnation, attempt: row.attempt }));
    await client.query({
      name: "test-end-workers",
      text: `UPDATE workers w SET state = 'exited', exit_code = 0, ended_at = now(), todo = false FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
        WHERE (w.job, w.incarnation, w.attempt) = (k.job, k.incarnation, k.attempt)`,
      values: [attempts.map((one) => one.job), attempts.map((one) => one.incarnation), attempts.map((one) => one.attempt)],
    });
    await changeJobs(
      client,
      rows.map((row) => ({ job: row.id, state: become, stopTarget: null, dueIn: null, finished: become !== "queued" })),
    );
    await changeAttempts(
      client,
      attempts.map(({ job, incarnation, attempt }) => ({
        job,
        incarnation,
        attempt,
        state: "ended" as const,
        outcome: become === "succeeded" ? ("succeeded" as const) : ("stopped" as const),
      })),
    );
    await appendEvents(
      client,
      rows.map((row) => ({ kind: `job.${become}`, actor: "test", project: "default", job: row.id, attempt: row.attempt })),
    );
    if (become !== "queued")
      await settleDependencies(
        client,
        rows.map((row) => ({ job: row.id, what: become })),
      );
    await releaseEnded(client, attempts);
  });
}

export async function statesOf(pool: Pool, jobs: readonly string[]): Promise<Map<string, { state: string; attempt: number; wait_reason: string | null }>> {
  const { rows } = await pool.query<{ id: string; state: string; attempt: number; wait_reason: string | null }>(
    "SELECT id, state, attempt, wait_reason FROM jobs WHERE id = ANY($1::text[])",
    [jobs],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Waits for a condition with a deadline. */
export async function until<T>(what: string, condition: () => Promise<T | undefined | false>, seconds = 20): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const result = await condition();
    if (result !== undefined && result !== false) return result;
    if (performance.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await delay(20);
  }
}
