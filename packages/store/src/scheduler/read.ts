import type { ResolvedJobSpec } from "@muster/model";
import type { Client } from "../pool.ts";
import type { FinishedRunRow, HoldingRow, NodeRow, PoolRow, QueueRow, SchedulingJobRow, WindowRow } from "./rows.ts";

const POOL = "SELECT name, accelerator, spec FROM pools";
const NODE = "SELECT name, pool, shard, fabric, devices, cpus, memory, address, health, health_reason, schedulable, reachable, spare FROM nodes";
const QUEUE = "SELECT name, parent, paused, spec FROM queues";
const HOLDING = "SELECT job, incarnation::text, attempt, role, node_rank, node, devices, share, cpus, memory FROM workers";

const JOB_COLUMNS = `j.id, j.project, j.queue, j.priority, j.preemptible, j.array_id, j.array_index, j.array_limit, j.state,
    j.incarnation::text, j.attempt, j.variant, j.unmet_dependencies, j.not_before, j.not_before_reason, j.wait_reason, j.wait_since,
    j.excluded_nodes, j.submitted_at, j.started_at, j.finished_at, j.ran_seconds, j.version,
    j.unmet_dependencies > 0 AND EXISTS (SELECT FROM job_dependencies d WHERE d.job = j.id AND d.state = 'never') AS dependency_never`;

/* Lateral queries, so that each row is looked up by its key whatever the statistics say: a batch joined as a whole costs its square. */
const JOB = `SELECT ${JOB_COLUMNS},
    coalesce(h.now, 0)::int AS held_now, coalesce(h.before, 0)::int AS held_before,
    a.started_at AS attempt_started_at, a.rendezvous_address, a.rendezvous_port, h.last_nodes, s.resolved,
    CASE WHEN j.attempt > 0 THEN (SELECT c.accepted_at FROM checkpoints c WHERE c.job = j.id ORDER BY c.id DESC LIMIT 1) END AS checkpointed_at
  FROM jobs j
    LEFT JOIN LATERAL (
      SELECT * FROM attempts a WHERE (a.job, a.incarnation, a.number) = (j.id, j.incarnation, j.attempt) LIMIT 1
    ) a ON j.attempt > 0 AND a.state <> 'ended'
    LEFT JOIN LATERAL (
      SELECT count(*) FILTER (WHERE NOT w.released AND w.incarnation = j.incarnation AND w.attempt = j.attempt) AS now,
        count(*) FILTER (WHERE NOT w.released AND (w.incarnation, w.attempt) <> (j.incarnation, j.attempt)) AS before,
        CASE WHEN j.state = 'queued' THEN array_agg(w.node ORDER BY w.role, w.node_rank)
          FILTER (WHERE w.incarnation = j.incarnation AND w.attempt = j.attempt) END AS last_nodes
      FROM workers w WHERE w.job = j.id AND (NOT w.released OR (w.incarnation = j.incarnation AND w.attempt = j.attempt))
    ) h ON j.attempt > 0`;

export async function readPools(client: Client): Promise<PoolRow[]> {
  return (await client.query<PoolRow>({ name: "scheduler-pools", text: POOL })).rows;
}

export async function readAllNodes(client: Client): Promise<NodeRow[]> {
  return (await client.query<NodeRow>({ name: "scheduler-all-nodes", text: NODE })).rows;
}

export async function readNodes(client: Client, names: readonly string[]): Promise<NodeRow[]> {
  if (names.length === 0) return [];
  return (await client.query<NodeRow>({ name: "scheduler-nodes", text: `${NODE} WHERE name = ANY($1::text[])`, values: [names] })).rows;
}

export async function readQueues(client: Client): Promise<QueueRow[]> {
  return (await client.query<QueueRow>({ name: "scheduler-queues", text: QUEUE })).rows;
}

/** Windows that are not over. */
export async function readWindows(client: Client): Promise<WindowRow[]> {
  const { rows } = await client.query<WindowRow>({
    name: "scheduler-windows",
    text: `SELECT name, (extract(epoch FROM starts_at) * 1000)::float8 AS starts_at, (extract(epoch FROM ends_at) * 1000)::float8 AS ends_at, spec
      FROM windows WHERE ends_at > now() ORDER BY name`,
  });
  return rows;
}

type JobItself = Omit<SchedulingJobRow, keyof JobParts | "resolved">;
type JobParts = Pick<
  SchedulingJobRow,
  "held_now" | "held_before" | "attempt_started_at" | "rendezvous_address" | "rendezvous_port" | "last_nodes" | "checkpointed_at"
>;

/**
 * Jobs as they are now; with its spec each that is among `unseen`: specs never change, so each is read once. Several small
 * statements, as most jobs of a batch have no attempt yet or are over, and one that reads everything costs each of them.
 */
export async function readJobs(client: Client, ids: readonly string[], unseen: readonly string[]): Promise<SchedulingJobRow[]> {
  if (ids.length === 0) return [];
  const { rows } = await client.query<JobItself>({
    name: "scheduler-jobs",
    text: `SELECT ${JOB_COLUMNS} FROM jobs j WHERE j.id = ANY($1::text[])`,
    values: [ids],
  });
  const tried = rows.filter((row) => row.attempt > 0);
  // on a pool they are asked at once: whoever waits for a start waits for each of these
  const [specs, held, live, lastNodes] = await Promise.all([
    readSpecs(client, unseen),
    readHeld(client, tried),
    readLiveAttempts(
      client,
      tried.filter((row) => row.finished_at === null),
    ),
    readLastNodes(
      client,
      tried.filter((row) => row.state === "queued"),
    ),
  ]);
  return rows.map((row) => {
    const key = row.attempt > 0 ? attemptOf(row) : "";
    const attempt = live.get(key);
    const heldNow = held.now.get(key) ?? 0;
    const parts: JobParts & Pick<SchedulingJobRow, "resolved"> = {
      held_now: heldNow,
      held_before: (held.all.get(row.id) ?? 0) - heldNow,
      attempt_started_at: attempt?.started_at ?? null,
      rendezvous_address: attempt?.rendezvous_address ?? null,
      rendezvous_port: attempt?.rendezvous_port ?? null,
      checkpointed_at: attempt?.checkpointed_at ?? null,
      last_nodes: lastNodes.get(key) ?? null,
      resolved: specs.get(row.id) ?? null,
    };
    return Object.assign(row, parts);
  });
}

type AttemptKey = Pick<SchedulingJobRow, "id" | "incarnation" | "attempt">;

function attemptOf({ id, incarnation, attempt }: AttemptKey): string {
  return `${id}/${incarnation}/${attempt}`;
}

/** Specs by their text, the newest: most of those submitted together are alike, and taking one apart costs more than the rest of a job. */
const parsed = new Map<string, ResolvedJobSpec>();
const MOST_PARSED = 500;

function parseSpec(text: string): ResolvedJobSpec {
  let spec = parsed.get(text);
  if (!spec) {
    spec = JSON.parse(text) as ResolvedJobSpec;
    if (parsed.size >= MOST_PARSED) parsed.clear();
    parsed.set(text, spec);
  }
  return spec;
}

/** Jobs with the same spec get the same object: it is not to be changed. */
async function readSpecs(client: Client, ids: readonly string[]): Promise<Map<string, ResolvedJobSpec>> {
  if (ids.length === 0) return new Map();
  const { rows } = await client.query<{ job: string; resolved: string }>({
    name: "scheduler-specs",
    text: "SELECT job, resolved::text FROM job_specs WHERE job = ANY($1::text[])",
    values: [ids],
  });
  return new Map(rows.map((row) => [row.job, parseSpec(row.resolved)]));
}

/** Unreleased workers by attempt, and by job. */
async function readHeld(client: Client, jobs: readonly AttemptKey[]): Promise<{ now: Map<string, number>; all: Map<string, number> }> {
  const now = new Map<string, number>();
  const all = new Map<string, number>();
  if (jobs.length === 0) return { now, all };
  const { rows } = await client.query<AttemptKey & { held: number }>({
    name: "scheduler-held",
    text: `SELECT job AS id, incarnation::text, attempt, count(*)::int AS held FROM workers
      WHERE job = ANY($1::text[]) AND NOT released GROUP BY workers.job, workers.incarnation, workers.attempt`,
    values: [jobs.map((job) => job.id)],
  });
  for (const row of rows) {
    now.set(attemptOf(row), row.held);
    all.set(row.id, (all.get(row.id) ?? 0) + row.held);
  }
  return { now, all };
}

type LiveAttempt = Pick<JobParts, "rendezvous_address" | "rendezvous_port" | "checkpointed_at"> & AttemptKey & { started_at: Date | null };

async function readLiveAttempts(client: Client, jobs: readonly AttemptKey[]): Promise<Map<string, LiveAttempt>> {
  if (jobs.length === 0) return new Map();
  const { rows } = await client.query<LiveAttempt>({
    name: "scheduler-attempts",
    text: `SELECT a.job AS id, a.incarnation::text, a.number AS attempt, a.started_at, a.rendezvous_address, a.rendezvous_port,
        (SELECT c.accepted_at FROM checkpoints c WHERE c.job = a.job ORDER BY c.id DESC LIMIT 1) AS checkpointed_at
      FROM attempts a WHERE a.job = ANY($1::text[]) AND a.state <> 'ended'`,
    values: [jobs.map((job) => job.id)],
  });
  return new Map(rows.map((row) => [attemptOf(row), row]));
}

/** Where jobs that wait again ran, in rank order. */
async function readLastNodes(client: Client, jobs: readonly AttemptKey[]): Promise<Map<string, string[]>> {
  if (jobs.length === 0) return new Map();
  const { rows } = await client.query<AttemptKey & { nodes: string[] }>({
    name: "scheduler-last-nodes",
    text: `SELECT k.job AS id, k.incarnation::text, k.attempt, w.nodes FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
      CROSS JOIN LATERAL (SELECT array_agg(w.node ORDER BY w.role, w.node_rank) AS nodes FROM workers w
        WHERE (w.job, w.incarnation, w.attempt) = (k.job, k.incarnation, k.attempt)) w`,
    values: [jobs.map((job) => job.id), jobs.map((job) => job.incarnation), jobs.map((job) => job.attempt)],
  });
  return new Map(rows.map((row) => [attemptOf(row), row.nodes]));
}

/** Every worker of these jobs whose devices are not free yet, in rank order. */
export async function readHoldings(client: Client, jobs: readonly string[]): Promise<HoldingRow[]> {
  if (jobs.length === 0) return [];
  return (
    await client.query<HoldingRow>({
      name: "scheduler-holdings",
      text: `${HOLDING} WHERE job = ANY($1::text[]) AND NOT released ORDER BY job, attempt, role, node_rank`,
      values: [jobs],
    })
  ).rows;
}

/** For whom jobs that are being stopped give their places. */
export async function readPreemptors(client: Client, jobs: readonly string[]): Promise<Map<string, string>> {
  if (jobs.length === 0) return new Map();
  const { rows } = await client.query<{ job: string; by: string | null }>({
    name: "scheduler-preemptors",
    text: `SELECT j.id AS job, e.data->'cause'->>'for' AS by FROM jobs j CROSS JOIN LATERAL (
        SELECT e.kind, e.attempt, e.data FROM events e WHERE e.job = j.id AND e.kind = 'job.preempted' ORDER BY e.xid DESC, e.seq DESC LIMIT 1) e
      WHERE j.id = ANY($1::text[]) AND j.state = 'stopping' AND e.attempt = j.attempt`,
    values: [jobs],
  });
  return new Map(rows.flatMap((row) => (row.by === null ? [] : [[row.job, row.by] as const])));
}

/** Jobs that are not finished, and finished ones whose workers still hold something, with their specs, a batch at a time. Needs a transaction. */
export async function* readLiveJobs(client: Client, batch: number): AsyncGenerator<SchedulingJobRow[]> {
  await client.query(`DECLARE live_jobs NO SCROLL CURSOR FOR ${JOB} LEFT JOIN job_specs s ON s.job = j.id WHERE j.finished_at IS NULL
    UNION ALL ${JOB} LEFT JOIN job_specs s ON s.job = j.id WHERE j.finished_at IS NOT NULL AND j.id IN (SELECT w.job FROM workers w WHERE NOT w.released)`);
  for (;;) {
    const { rows } = await client.query<SchedulingJobRow>(`FETCH ${batch} FROM live_jobs`);
    if (rows.length === 0) break;
    yield rows;
  }
  await client.query("CLOSE live_jobs");
}

/** Jobs that ended well in their first attempt, of the last so many submitted: what they ran on, and how long. */
export async function readFinishedRuns(client: Client, most: number): Promise<FinishedRunRow[]> {
  const { rows } = await client.query<FinishedRunRow>({
    name: "scheduler-finished-runs",
    text: `SELECT s.resolved, p.accelerator, (extract(epoch FROM j.finished_at - a.started_at) * 1000)::float8 AS run_ms
      FROM (SELECT id, incarnation, attempt, finished_at FROM jobs WHERE state = 'succeeded' AND attempt = 1 ORDER BY id DESC LIMIT $1) j
        JOIN job_specs s ON s.job = j.id
        JOIN LATERAL (SELECT started_at FROM attempts a WHERE (a.job, a.incarnation, a.number) = (j.id, j.incarnation, j.attempt)) a ON a.started_at < j.finished_at
        JOIN LATERAL (SELECT node FROM workers w WHERE w.job = j.id ORDER BY w.role, w.node_rank LIMIT 1) w ON true
        JOIN nodes n ON n.name = w.node JOIN pools p ON p.name = n.pool
      ORDER BY j.finished_at`,
    values: [most],
  });
  return rows;
}

/** The database's clock, which alone decides: milliseconds since the epoch. */
export async function readClock(client: Client): Promise<number> {
  const { rows } = await client.query<{ now: number }>({
    name: "scheduler-clock",
    text: "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now",
  });
  return rows[0]?.now ?? Date.now();
}
