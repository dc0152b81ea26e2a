import { Unreachable, type WorkerKey } from "@muster/engine";
import { SimulatedEngine } from "@muster/engine-simulated";
import type { LogStore } from "@muster/logs";
import { poolSpec } from "@muster/model";
import { createMetrics, Election } from "@muster/scheduler";
import {
  appendEvents,
  createCluster,
  ensurePartitions,
  ensureShard,
  putNode,
  putPool,
  transaction,
  Waker,
  type Client,
  type Pool,
  type ShardRow,
} from "@muster/store";
import { supervise, type Check, type SideWorkOptions, type Timers } from "@muster/supervisor";
import type { Logger } from "pino";
import type { SimulatedDatabase } from "./database.ts";
import { Line, Link } from "./link.ts";
import type { Trainings } from "./trainings.ts";
import { Process, type World } from "./world.ts";

export const SERVICES = ["scheduler-0", "scheduler-1", "supervisor-0", "supervisor-1", "api"] as const;
export type ServiceName = (typeof SERVICES)[number];

const NODES_OF_LEAF = 32;
export const DEVICES = 8;

export interface Shard {
  name: string;
  nodes: string[];
  engine: SimulatedEngine;
  line: Line;
  /** Milliseconds that a kill takes there at most. */
  killTakes: number;
}

export interface ClusterOptions {
  world: World;
  database: SimulatedDatabase;
  trainings: Trainings;
  nodes: number;
  shards: number;
  /** A service did what it never should. */
  onWrong: (what: string) => void;
}

/** The control plane's processes and the cluster that they control. */
export class Cluster {
  readonly shards: Shard[];
  readonly #options: ClusterOptions;
  readonly #services = new Map<ServiceName, Process>();
  /** When each check last ran, whoever ran it: as a queue that all supervisors share would know. */
  readonly #checked = new Map<string, number>();
  /** Requests without an answer: whoever made them makes them again when the API is back. */
  readonly #requests = new Set<(pool: Pool) => Promise<void>>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { world, trainings, nodes, shards } = options;
    const names = Array.from({ length: nodes }, (_, index) => `node-${String(index).padStart(4, "0")}`);
    this.shards = Array.from({ length: shards }, (_, index) => {
      const own = names.filter((_name, node) => Math.floor((node * shards) / nodes) === index);
      const shard: Shard = { name: `shard-${index}`, nodes: own, line: new Line(), killTakes: 0, engine: undefined as unknown as SimulatedEngine };
      shard.engine = new SimulatedEngine({
        shard: shard.name,
        nodes: own,
        clock: world.clock,
        outcome: (start) => trainings.begin(start, shard),
        killTakes: () => world.random() * shard.killTakes,
      });
      return shard;
    });
  }

  /** Everything that is there before any service: nodes, queues, and the database they are in. */
  async setUp(): Promise<void> {
    const { database, world } = this.#options;
    const process = new Process("operator");
    await new Promise<void>((resolve, reject) => {
      world.start(process, () => {
        this.#fill(database.pool(process)).then(resolve, reject);
        void world.live(world.now());
      });
    });
  }

  async #fill(pool: Pool): Promise<void> {
    await ensurePartitions(pool, this.#options.world.now());
    await createCluster(pool);
    await pool.query("INSERT INTO projects (name) VALUES ('default')");
    await pool.query("INSERT INTO queues (name, projects) VALUES ('default', '{*}')");
    await putPool(pool, poolSpec.parse({ name: "h800", vendor: "nvidia", accelerator: "h800", engine: "simulated" }));
    let index = 0;
    for (const shard of this.shards) {
      await ensureShard(pool, shard.name, "simulated");
      for (const name of shard.nodes) {
        const leaf = Math.floor(index++ / NODES_OF_LEAF);
        await putNode(pool, {
          name,
          pool: "h800",
          shard: shard.name,
          fabric: ["zone", `spine-${Math.floor(leaf / 8)}`, `leaf-${leaf}`, name],
          devices: DEVICES,
          deviceMemory: 0,
          cpuMillis: 128_000,
          memory: 2 ** 40,
          address: "10.0.0.1",
          labels: {},
        });
      }
    }
  }

  isUp(name: ServiceName): boolean {
    return this.#services.get(name)?.alive ?? false;
  }

  process(name: ServiceName): Process | undefined {
    return this.#services.get(name);
  }

  startService(name: ServiceName): void {
    if (this.isUp(name)) return;
    const { world, onWrong } = this.#options;
    const process = new Process(name);
    this.#services.set(name, process);
    world.note(world.now(), "start", name);
    world.touch();
    world.start(process, () => {
      if (name === "api") this.#answer(process);
      else if (name.startsWith("scheduler")) this.#startScheduler(process);
      else this.#startSupervisor(process).catch((error: Error) => onWrong(`${name} did not start: ${error.message}`));
    });
  }

  /** SIGKILL: nothing that it began goes on, but what it has sent is on its way. */
  async crash(name: ServiceName): Promise<void> {
    const { world, database } = this.#options;
    const process = this.#services.get(name);
    if (!process?.alive) return;
    world.note(world.now(), "crash", name);
    world.touch();
    process.end();
    world.forget(process);
    await database.drop(process);
  }

  #startScheduler(process: Process): void {
    const { database } = this.#options;
    const pool = database.pool(process);
    const election = new Election({
      pool,
      waker: new Waker(pool),
      logger: this.#logger(process),
      metrics: createMetrics(() => [], false),
      holder: `${process.name}-${this.#options.world.stepsTaken}`,
    });
    database.listen(process, () => election.term?.wake());
    election.start(process.name);
  }

  async #startSupervisor(process: Process): Promise<void> {
    const { database, world } = this.#options;
    const connect = async (row: ShardRow): Promise<Link> => {
      const shard = this.shards.find(({ name }) => name === row.name);
      if (!shard) throw new Unreachable(`no shard ${row.name}`);
      return new Link(world, process, shard.engine, shard.line);
    };
    await supervise(
      { logger: this.#logger(process), logs: noLogs, engines: { simulated: { connect } }, apiUrl: "http://127.0.0.1:9" },
      {
        pool: database.pool(process),
        listen: (onWake) => database.listen(process, onWake),
        startSideWork: async (work) => this.#sideWork(process, work),
      },
    );
  }

  /** Schedules and timers as a queue in the database keeps them: they outlive whoever asked for them. */
  #sideWork(process: Process, { checks, waker }: Omit<SideWorkOptions, "databaseUrl">): Timers {
    const { world, onWrong } = this.#options;
    const run = async (check: Check): Promise<void> => {
      const last = this.#checked.get(check.name) ?? 0;
      if (world.now() - last >= check.every) {
        this.#checked.set(check.name, world.now());
        await check.run().catch((error: Error) => {
          if (!("code" in error)) onWrong(`check ${check.name}: ${error.message}`);
        });
      }
      world.later(process, Math.min(check.every, 30_000), () => void run(check));
    };
    for (const check of checks) world.later(process, 0, () => void run(check));
    return {
      backoff: async (job, seconds) => {
        world.clock.after(seconds * 1000, () => {
          const other = process.alive ? process : [...this.#services.values()].find((one) => one.alive && one.name.startsWith("supervisor"));
          if (!other) return;
          world.start(other, () => {
            appendEvents(this.#options.database.pool(other), [{ kind: "job.backoff_over", actor: "supervisor", job }]).then(
              () => waker.wake(),
              () => {},
            );
          });
        });
      },
      close: async () => {},
    };
  }

  /** Asks the API for something, again and again until it has answered: `work` must be such that a repetition does no harm. */
  request(work: (pool: Pool) => Promise<void>, { once = false } = {}): void {
    const { database } = this.#options;
    const made = async (pool: Pool): Promise<void> => {
      try {
        await work(pool);
        this.#requests.delete(made);
        new Waker(pool).wake();
      } catch (error) {
        if (once || !("code" in (error as Error))) this.#requests.delete(made);
        else throw error;
      }
    };
    this.#requests.add(made);
    const api = this.#services.get("api");
    if (api?.alive) this.#try(api, made, database.pool(api));
  }

  /** Changes that belong together. */
  change(work: (client: Client) => Promise<unknown>): void {
    this.request(async (pool) => void (await transaction(pool, work)), { once: true });
  }

  #answer(process: Process): void {
    const pool = this.#options.database.pool(process);
    for (const made of this.#requests) this.#try(process, made, pool);
  }

  #try(process: Process, made: (pool: Pool) => Promise<void>, pool: Pool): void {
    const { world } = this.#options;
    world.start(process, () => {
      made(pool).catch(() => {
        world.later(process, 1000, () => this.#try(process, made, pool));
      });
    });
  }

  /** Living workers of the whole cluster, whoever can see them. */
  living(): { key: WorkerKey; node: string; shard: Shard }[] {
    return this.shards.flatMap((shard) => shard.engine.living().map(({ key, node }) => ({ key, node, shard })));
  }

  #logger(process: Process): Logger {
    const { onWrong } = this.#options;
    const error = (what: { err?: Error }, message: string): void => {
      if (!what.err) return;
      const code = "code" in what.err ? String(what.err.code) : "";
      // what the database's constraints refuse, and what it rolls back, is said here as well
      if (/^(ECONN|40P01|40001|55P03)/.test(code)) return;
      onWrong(`${process.name}: ${message}: ${what.err.stack ?? what.err.message}`);
    };
    const nothing = (): void => {};
    return { error, fatal: error, warn: nothing, info: nothing, debug: nothing, trace: nothing } as unknown as Logger;
  }
}

const noLogs: LogStore = {
  append: async (_key, offset, bytes) => ({ next: offset + bytes.length, dropped: 0, problem: null }),
  read: async (_key, offset) => ({ offset, bytes: Buffer.alloc(0) }),
  size: async () => 0,
  remove: async () => {},
  prune: async () => ({ files: 0, bytes: 0, left: 0 }),
  close: async () => {},
};
