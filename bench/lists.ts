import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeId } from "@muster/model";
import {
  addUpFinished,
  createPool,
  ensureCluster,
  ensurePartitions,
  getJob,
  listJobs,
  migrate,
  startEmbeddedPostgres,
  summarizeJobs,
  type JobFilter,
  type Pool,
} from "@muster/store";

const JOBS = Number(process.env["MUSTER_BENCH_JOBS"] ?? 1_000_000);
const LIVE = 2000;
const AT_ONCE = 50_000;
const MONTHS = 6;
const MONTH = 30 * 86_400_000;
const REPEATS = 15;

/**
 * What lists, filters, a job's page and counts cost in a store with many finished jobs over half a year, and 2,000 that live. A million
 * by default, as making them takes longest; MUSTER_BENCH_JOBS says how many else.
 */
export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }> {
  const dir = await mkdtemp(join(tmpdir(), "muster-lists-"));
  const server = await startEmbeddedPostgres({ dir, unsafe: true });
  const pool = createPool(server.url, "bench", { max: 2 });
  const figures: Record<string, number> = { finished_jobs: JOBS };
  try {
    await migrate(server.url);
    const last = await fill(pool, figures);
    const all = { visible: null };
    const page = (filter: JobFilter, after?: string) => () => listJobs(pool, filter, { newestFirst: true, after, limit: 50 });
    const looks: [string, string, () => Promise<unknown>][] = [
      ["newest 50", "newest_ms", page(all)],
      ["50 from the middle", "middle_ms", page(all, last.middle)],
      ["failed ones", "failed_ms", page({ ...all, states: ["failed"] })],
      ["of one submitter", "submitter_ms", page({ ...all, submitter: "user7" })],
      ["of one project and queue", "queue_ms", page({ ...all, project: "p3", queue: "q3" })],
      ["of a queue a project never uses", "unused_queue_ms", page({ ...all, project: "p3", queue: "q5" })],
      ["by the beginning of a name", "name_ms", page({ ...all, project: "p3", namePrefix: "train-77" })],
      ["one job", "one_ms", () => getJob(pool, last.middle)],
      ["all counted by state", "summary_ms", () => summarizeJobs(pool, all, ["state"])],
      ["failed ones counted by queue", "summary_failed_ms", () => summarizeJobs(pool, { ...all, states: ["failed"] }, ["queue"])],
    ];
    for (const [text, key, look] of looks) {
      const times: number[] = [];
      for (let i = 0; i < REPEATS; i++) {
        const began = performance.now();
        await look();
        times.push(performance.now() - began);
      }
      times.sort((a, b) => a - b);
      figures[key] = round(times[Math.floor(REPEATS / 2)] as number);
      console.error(`${text.padEnd(32)}${String(figures[key]).padStart(9)} ms, at most ${round(times.at(-1) as number)} ms`);
    }
    return { figures, peers: {} };
  } finally {
    await pool.end();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function fill(pool: Pool, figures: Record<string, number>): Promise<{ middle: string }> {
  const { incarnation } = await ensureCluster(pool);
  const now = Date.now();
  for (let month = MONTHS; month >= 0; month--) await ensurePartitions(pool, now - month * MONTH);
  await pool.query("INSERT INTO projects (name) SELECT 'p' || i FROM generate_series(0, 19) AS i");
  await pool.query("INSERT INTO queues (name) SELECT 'q' || i FROM generate_series(0, 39) AS i");
  const began = performance.now();
  let middle = "";
  for (let at = 0; at < JOBS + LIVE; at += AT_ONCE) {
    const count = Math.min(AT_ONCE, JOBS + LIVE - at);
    const live = at + count > JOBS ? LIVE : 0;
    const ids = Array.from({ length: count }, (_, i) => makeId("job", now - MONTHS * MONTH + ((at + i) / (JOBS + LIVE)) * MONTHS * MONTH, random(at + i)));
    middle = at <= JOBS / 2 ? (ids[0] as string) : middle;
    await pool.query(
      `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at, finished_at)
        SELECT id, 'p' || n % 20, 'q' || n % 40, 'train-' || n % 100000, 'user' || n % 300, 0, 'normal', true, 1, 8,
          CASE WHEN n > $3 THEN 'queued' WHEN n % 10 = 0 THEN 'failed' ELSE 'succeeded' END, $4, now(), CASE WHEN n <= $3 THEN now() END
        FROM (SELECT id, $2::int + row_number() OVER () AS n FROM unnest($1::text[]) AS id) AS k`,
      [ids, at, live > 0 ? JOBS : JOBS + LIVE, incarnation],
    );
    await pool.query("INSERT INTO job_specs (job, submitted, resolved) SELECT id, '{}', '{}' FROM unnest($1::text[]) AS id", [ids]);
    // as housekeeping does from time to time
    await addUpFinished(pool);
  }
  await pool.query("VACUUM ANALYZE");
  figures["made_per_second"] = Math.round((JOBS + LIVE) / ((performance.now() - began) / 1000));
  return { middle };
}

function random(seed: number): Uint8Array {
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setUint32(6, seed);
  return bytes;
}

const round = (value: number): number => Math.round(value * 100) / 100;
