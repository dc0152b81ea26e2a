import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stopAgent } from "@muster/agent";
import type { SilenceLimits, StragglerLimits } from "@muster/lifecycle";
import { DirectoryLogStore, logKey } from "@muster/logs";
import { makeId, poolSpec, resolveJobSpec, type JobState, type SubmittedJobSpec, type RepairHook } from "@muster/model";
import { createScheduler, type Scheduler } from "@muster/scheduler";
import {
  appendEvents,
  applyJobAction,
  ensureCluster,
  ensureShard,
  insertJobs,
  lockIncarnation,
  putNode,
  putPool,
  transaction,
  Waker,
  type Pool,
} from "@muster/store";
import { createSupervisor, localProvider, type LocalProviderOptions, type Supervisor } from "@muster/supervisor";
import { pino } from "pino";
import { agentPid, descendants, endAll, nothingLeft, pidsWhere, signalAll } from "./processes.ts";
import { testDatabase, type TestDatabase } from "@muster/store/testing";

const logger = pino({ level: process.env["MUSTER_TEST_LOG"] ?? "silent" });

export interface TestNode {
  name: string;
  pool?: string;
  shard?: string;
  devices?: number;
  cpus?: number;
  fabric?: string[];
}

export interface TestJob {
  id: string;
  state: JobState;
  attempt: number;
  failure: { class: string; rule: string; message: string } | null;
  user_failures: number;
  infrastructure_failures: number;
}

/** The services without the API, on a real database and real agents, in a folder of its own. */
export class TestCluster {
  readonly db: TestDatabase;
  readonly dir: string;
  readonly pool: Pool;
  readonly logs: DirectoryLogStore;
  readonly schedulers: Scheduler[] = [];
  readonly supervisors: Supervisor[] = [];
  readonly #waker: Waker;
  readonly #shards = new Set<string>();
  readonly #nodesOf = new Map<string, string[]>();

  /** @param db an empty, migrated database; by default one of its own on the server of the tests */
  static async create(nodes: readonly TestNode[], db?: TestDatabase): Promise<TestCluster> {
    db ??= await testDatabase();
    const cluster = new TestCluster(db);
    await ensureCluster(db.pool);
    await db.pool.query("INSERT INTO projects (name) VALUES ('default')");
    await db.pool.query("INSERT INTO queues (name, projects) VALUES ('default', '{*}')");
    for (const node of nodes) await cluster.addNode(node);
    return cluster;
  }

  private constructor(db: TestDatabase) {
    this.db = db;
    this.pool = db.pool;
    this.dir = mkdtempSync(join(tmpdir(), "muster-cluster-"));
    chmodSync(this.dir, 0o755);
    this.logs = new DirectoryLogStore(join(this.dir, "logs"));
    this.#waker = new Waker(db.pool);
  }

  async addNode({ name, pool = "h800", shard = "a", devices = 8, cpus = 16, fabric = ["zone", "spine", "leaf", name] }: TestNode): Promise<void> {
    this.#shards.add(shard);
    this.#nodesOf.set(shard, [...(this.#nodesOf.get(shard) ?? []), name]);
    await putPool(this.pool, poolSpec.parse({ name: pool, vendor: "nvidia", accelerator: pool }));
    await ensureShard(this.pool, shard, "local");
    await putNode(this.pool, {
      name,
      pool,
      shard,
      fabric,
      devices,
      deviceMemory: 0,
      cpuMillis: cpus * 1000,
      memory: 64 * 2 ** 30,
      address: "127.0.0.1",
      labels: {},
    });
    await appendEvents(this.pool, [{ kind: "node.put", actor: "test", node: name, pool }]);
  }

  async startScheduler(): Promise<Scheduler> {
    const scheduler = createScheduler({ databaseUrl: this.db.url, logger });
    this.schedulers.push(scheduler);
    await scheduler.start();
    return scheduler;
  }

  async startSupervisor({
    apiUrl = "http://127.0.0.1:9",
    silence,
    straggler,
    repairHooks,
    agent,
  }: {
    apiUrl?: string;
    silence?: Partial<SilenceLimits>;
    straggler?: Partial<StragglerLimits>;
    repairHooks?: readonly RepairHook[];
    agent?: LocalProviderOptions["agent"];
  } = {}): Promise<Supervisor> {
    const supervisor = await createSupervisor({
      databaseUrl: this.db.url,
      logger,
      logs: this.logs,
      apiUrl,
      ...(silence && { silence }),
      ...(straggler && { straggler }),
      ...(repairHooks && { repairHooks }),
      engines: {
        local: localProvider({
          pool: this.pool,
          agentsDir: join(this.dir, "agents"),
          agent: { area: join(this.dir, "area"), checkpoint_roots: [join(this.dir, "ckpt")], ...agent },
        }),
      },
    });
    this.supervisors.push(supervisor);
    return supervisor;
  }

  async submit(...specs: Partial<SubmittedJobSpec>[]): Promise<string[]> {
    const ids: string[] = [];
    await transaction(this.pool, async (client) => {
      const { incarnation } = await lockIncarnation(client);
      const jobs = specs.map((spec) => {
        const resolved = resolveJobSpec({ name: "test", ...spec });
        if (!resolved.ok) throw new Error(JSON.stringify(resolved.errors));
        const role = resolved.value.variants[0]?.roles[0];
        const id = makeId("job", Date.now(), randomBytes(10));
        ids.push(id);
        return {
          id,
          project: "default",
          queue: "default",
          name: resolved.value.name,
          submitter: "test",
          labels: {},
          priority: 0,
          priorityClass: "normal",
          preemptible: resolved.value.preemptible,
          arrayId: null,
          arrayIndex: null,
          arrayLimit: null,
          nodes: role?.nodes.max ?? 1,
          devices: 0,
          held: false,
          unmetDependencies: 0,
          notBefore: null,
          submitted: JSON.stringify(spec),
          resolved: JSON.stringify(resolved.value),
          sourceCommit: null,
          dependencies: [],
        };
      });
      await insertJobs(client, incarnation, jobs);
      await appendEvents(
        client,
        jobs.map((job) => ({ kind: "job.submitted", actor: "test", project: "default", job: job.id })),
      );
    });
    this.#waker.wake();
    return ids;
  }

  async act(id: string, action: Parameters<typeof applyJobAction>[1]["action"]): Promise<void> {
    const answer = await transaction(this.pool, (client) => applyJobAction(client, { jobId: id, action, reason: "test", actor: "test" }));
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    this.#waker.wake();
  }

  async job(id: string): Promise<TestJob> {
    const { rows } = await this.pool.query<TestJob>("SELECT id, state, attempt, failure, user_failures, infrastructure_failures FROM jobs WHERE id = $1", [id]);
    return rows[0] as TestJob;
  }

  /** Waits for a condition over the job, and fails with what is known of it after the time (ms). */
  async until(id: string, condition: (job: TestJob) => boolean, within = 60_000): Promise<TestJob> {
    for (const deadline = Date.now() + within; ; await delay(20)) {
      const job = await this.job(id);
      if (condition(job)) return job;
      if (Date.now() > deadline) {
        const { rows: workers } = await this.pool.query(
          "SELECT attempt, worker, node, state, desired, todo, exit_code, signal, reason FROM workers WHERE job = $1",
          [id],
        );
        const { rows: events } = await this.pool.query("SELECT kind, data FROM events WHERE job = $1 ORDER BY seq", [id]);
        const { rows: cluster } = await this.pool.query(
          "SELECT starts_paused, starts_paused_reason, (SELECT wait_reason FROM jobs WHERE id = $1) AS wait_reason FROM cluster",
          [id],
        );
        throw new Error(`gave up waiting for ${JSON.stringify({ job, workers, events, cluster }, null, 1)}`);
      }
    }
  }

  untilState(id: string, ...states: JobState[]): Promise<TestJob> {
    return this.until(id, (job) => states.includes(job.state));
  }

  async log(id: string, attempt: number, worker: string): Promise<string> {
    const { rows } = await this.pool.query<{ incarnation: string }>("SELECT incarnation::text FROM attempts WHERE job = $1 AND number = $2", [id, attempt]);
    const part = await this.logs.read(logKey({ job: id, incarnation: rows[0]?.incarnation ?? "", attempt, worker }), 0, 1 << 20);
    return part.bytes.toString();
  }

  /** Pids of the agent of a shard and of everything that it started: the agent's own session, and each worker's. */
  shardProcesses(shard: string): number[] {
    const agent = agentPid(this.agentDir(shard));
    const nodes = new Set(this.#nodesOf.get(shard));
    // others have nodes of the same name
    const ours = (environment: ReadonlyMap<string, string>): boolean => [...environment.values()].some((value) => value.includes(this.dir));
    return [
      ...(agent === undefined ? [] : [agent, ...descendants(agent)]),
      ...pidsWhere((environment) => nodes.has(environment.get("MUSTER_NODE") ?? "") && ours(environment)),
    ];
  }

  agentDir(shard: string): string {
    return join(this.dir, "agents", shard);
  }

  /** Ends all that it started, and fails where something is left, or did not end as it should. */
  async close(): Promise<void> {
    await endAll([
      ...this.supervisors.map((supervisor) => () => supervisor.close()),
      ...this.schedulers.map((scheduler) => () => scheduler.close()),
      ...[...this.#shards].map((shard) => async () => {
        // a test that failed may have left it standing still
        signalAll(this.shardProcesses(shard), "SIGCONT");
        await stopAgent(this.agentDir(shard), true);
      }),
      () => this.#waker.close(),
      () => this.logs.close(),
      () => this.db.drop(),
      () => nothingLeft(this.dir),
    ]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
