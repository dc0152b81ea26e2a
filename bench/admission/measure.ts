import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeId, resolveJobSpec } from "@muster/model";
import { createPool, ensureCluster, insertJobs, leaseHolder, migrate, readCluster, Waker, type NewJob, type Pool } from "@muster/store";
import { cpuSeconds } from "./cpu.ts";
import { Executor, type Work } from "./executor.ts";
import { cohortSpec, countOf, lowerBound, QUEUE_SPEC, submissionsOf, type Submission, type Workload, type WorkloadClass } from "./workloads.ts";

export interface Measured {
  jobs: number;
  seconds: number;
  perSecond: number;
  /** Makespan over its lower bound. */
  ratio: number;
  evicted: number;
  /** Milliseconds on average from a decision until it was seen, and from when a job was to end until that was written. */
  handedOver: number;
  ended: number;
  /** Processor time of scheduler, Postgres and this process. */
  cpuMsPerJob: number;
}

/** Submissions join for so long, as in the API; milliseconds. */
const TICK = 10;
const SUBMIT_AT_ONCE = 1000;
const GIVE_UP = 600_000;

/**
 * Runs one workload on a fresh database with a scheduler process of its own, from the first submission to the last end.
 * @param saturated all is submitted first, and no job takes any time
 */
export async function measure({ url: serverUrl, pid }: { url: string; pid: number }, workload: Workload, saturated: boolean): Promise<Measured> {
  const name = `admission_${workload.name}_${process.pid}_${randomBytes(3).toString("hex")}`;
  const server = createPool(serverUrl, "bench", { max: 1 });
  await server.query(`CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await migrate(url.href);
  const pool = createPool(url.href, "bench", { max: 8, genericPlans: true });
  const classes = new Map<string, WorkloadClass>();
  const workOf = (job: string): Work => {
    const { runTime, members } = classes.get(job) as WorkloadClass;
    return { runTime: saturated ? 0 : runTime, workers: members };
  };
  const executor = new Executor({ pool, databaseUrl: url.href, workOf });
  const waker = new Waker(pool);
  const scheduler = spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL("../../services/scheduler/src/main.ts", import.meta.url))], {
    env: { ...process.env, DATABASE_URL: url.href },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await makeCluster(pool, workload);
    for (;;) {
      if (await leaseHolder(pool, "scheduler")) break;
      await delay(50);
    }
    await executor.start();
    const jobs = countOf(workload);
    const submit = submitter(pool, (await readCluster(pool)).incarnation, classes);
    const cpu = (): number => cpuSeconds([pid, process.pid, scheduler.pid ?? 0]);
    const began = performance.now();
    let from = began;
    let used = cpu();
    if (saturated) {
      await pool.query("UPDATE cluster SET starts_paused = true, starts_paused_reason = 'filling'");
      // the scheduler looks once a second
      await delay(1500);
      const all = submissionsOf(workload);
      for (let at = 0; at < all.length; at += SUBMIT_AT_ONCE) await submit(all.slice(at, at + SUBMIT_AT_ONCE));
      from = performance.now();
      used = cpu();
      await pool.query("UPDATE cluster SET starts_paused = false, starts_paused_reason = NULL");
      waker.wake();
    } else {
      const all = submissionsOf(workload);
      for (let next = 0; next < all.length; ) {
        const now = performance.now() - began;
        let end = next;
        while (end < all.length && end - next < SUBMIT_AT_ONCE && (all[end] as Submission).at <= now) end++;
        if (end === next) await delay(TICK);
        else {
          await submit(all.slice(next, end));
          waker.wake();
          next = end;
        }
      }
    }
    while (executor.figures.finished < jobs) {
      if (performance.now() - from > GIVE_UP) throw new Error(`${workload.name}: only ${executor.figures.finished} of ${jobs} jobs ended`);
      await delay(5);
    }
    const seconds = (performance.now() - from) / 1000;
    return {
      jobs,
      seconds,
      perSecond: jobs / seconds,
      ratio: (seconds * 1000) / lowerBound(workload),
      evicted: executor.figures.evicted,
      handedOver: executor.figures.handingOver / jobs,
      ended: executor.figures.ending / jobs,
      cpuMsPerJob: ((cpu() - used) * 1000) / jobs,
    };
  } finally {
    const gone = once(scheduler, "exit");
    scheduler.kill("SIGTERM");
    await gone;
    await executor.stop();
    await waker.close();
    await pool.end();
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await server.end();
  }
}

async function makeCluster(pool: Pool, workload: Workload): Promise<void> {
  const { racks, ofRack, cpus } = workload.nodes;
  await ensureCluster(pool);
  await pool.query("INSERT INTO projects (name) VALUES ('default')");
  await pool.query("INSERT INTO shards (name, engine, reachable) VALUES ('bench', 'simulated', true)");
  await pool.query("INSERT INTO pools (name, engine, vendor, accelerator, spec) VALUES ('bench', 'simulated', 'none', 'cpu', $1)", [
    { fabric_levels: ["leaf"] },
  ]);
  await pool.query(
    `INSERT INTO nodes (name, pool, shard, fabric, devices, cpus, memory)
      SELECT 'r' || r || '-n' || n, 'bench', 'bench', ARRAY['r' || r], 0, $3, 1::bigint << 50 FROM generate_series(1, $1::int) AS r, generate_series(1, $2::int) AS n`,
    [racks, ofRack, cpus * 1000],
  );
  await pool.query("INSERT INTO queues (name, spec) SELECT 'c' || c, $2 FROM generate_series(0, $1::int - 1) AS c", [workload.cohorts, cohortSpec(workload)]);
  await pool.query(
    "INSERT INTO queues (name, parent, projects, spec) SELECT 'c' || c || '-q' || q, 'c' || c, '{*}', $3 FROM generate_series(0, $1::int - 1) AS c, generate_series(0, $2::int - 1) AS q",
    [workload.cohorts, workload.queuesOfCohort, QUEUE_SPEC],
  );
}

/** As the API submits: rows, specs and events of many jobs in one statement. */
function submitter(pool: Pool, incarnation: string, classes: Map<string, WorkloadClass>): (submissions: readonly Submission[]) => Promise<void> {
  const specs = new Map<string, string>();
  const specOf = (queue: string, one: WorkloadClass): string => {
    const key = `${queue} ${one.name}`;
    const known = specs.get(key);
    if (known !== undefined) return known;
    const resolved = resolveJobSpec({
      name: one.name,
      queue,
      run: ["true"],
      nodes: one.members,
      resources: { cpus: one.cpus, memory: "64Mi" },
      checkpoint: { grace: 0 },
      ...(one.topology && { topology: one.topology }),
    });
    if (!resolved.ok) throw new Error(JSON.stringify(resolved.errors));
    const text = JSON.stringify(resolved.value);
    specs.set(key, text);
    return text;
  };
  return async (submissions) => {
    const now = Date.now();
    const jobs = submissions.map(({ queue, class: one }): NewJob => {
      const id = makeId("job", now, randomBytes(10));
      classes.set(id, one);
      return {
        id,
        project: "default",
        queue,
        name: one.name,
        submitter: "bench",
        labels: {},
        priority: one.priority,
        priorityClass: String(one.priority),
        preemptible: true,
        arrayId: null,
        arrayIndex: null,
        arrayLimit: null,
        nodes: one.members,
        devices: 0,
        held: false,
        unmetDependencies: 0,
        notBefore: null,
        submitted: "{}",
        resolved: specOf(queue, one),
        sourceCommit: null,
        dependencies: [],
      };
    });
    await insertJobs(pool, incarnation, jobs);
  };
}
