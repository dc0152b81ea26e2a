import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type { AttemptKey, LogChunk, SealCheckpoint, ShardSnapshot, WorkerKey, WorkerStart, WorkerStop } from "@muster/engine";
import { expand } from "@muster/model";
import { judgeStart, refusal } from "./admission.ts";
import { Area } from "./area.ts";
import { detectCgroups, removeBases, type CgroupBases } from "./cgroups.ts";
import type { AgentConfig } from "./config.ts";
import { DiskWatch } from "./disk-watch.ts";
import { KernelLog } from "./kernel-log.ts";
import { attemptOf, workerName } from "./keys.ts";
import { alive, Ledger, type WorkerEntry, type WorkerRecord } from "./ledger.ts";
import { readLog } from "./logs.ts";
import { mountWrap } from "./mounts.ts";
import { bootId, findByMark, workerMark } from "./procs.ts";
import { Pruner } from "./pruner.ts";
import { Sealer } from "./sealer.ts";
import { readSecrets } from "./secrets.ts";
import { SlotPool, type Slot } from "./slots.ts";
import { Sources } from "./sources.ts";
import { makeSpawner, type Spawner } from "./spawner.ts";
import { takeSteps, type Step } from "./steps.ts";
import { Stopper } from "./stopper.ts";
import { Users, type User } from "./users.ts";
import { fillPaths, pathVariables, usesShared, workerEnv } from "./worker-env.ts";
import { Worker, type WorkerContext } from "./worker.ts";

/* The keeper of processes: takes commands, keeps its ledger, and brings the workers of its nodes up and down. */

const TICK_MS = 200;
const NODE_LOOK_MS = 1000;
const DISK_LOOK_MS = 30_000;
/** Workers launched between two looks at what became of others. */
const LAUNCHES_AT_ONCE = 16;

export class Agent {
  readonly ledger: Ledger;
  config: AgentConfig;
  private readonly area: Area;
  private readonly users: Users;
  private readonly spawner: Spawner;
  private readonly slots: SlotPool;
  private readonly sources: Sources;
  private readonly stopper: Stopper;
  private readonly sealer: Sealer;
  private readonly pruner: Pruner;
  private readonly running = new Map<string, Worker>();
  private readonly context: WorkerContext;
  private readonly log: Logger;
  private readonly bases: CgroupBases;
  private readonly kernel: KernelLog | undefined;
  private readonly disks = new DiskWatch();
  private nodesLooked = 0;
  private disksLooked = 0;
  private admitting: Promise<void> = Promise.resolve();
  private launches: (() => Promise<void>)[] = [];
  private launching = false;
  private readonly ticker: NodeJS.Timeout;

  private constructor(config: AgentConfig, ledger: Ledger, bases: CgroupBases, log: Logger) {
    this.config = config;
    this.ledger = ledger;
    this.bases = bases;
    this.log = log;
    this.area = new Area(config);
    this.users = new Users(config.state_dir);
    this.spawner = makeSpawner(config.state_dir, log);
    this.slots = new SlotPool(config.state_dir, bases, (slot) => this.spawner.drop(slot));
    this.sources = new Sources(config, this.area.path);
    this.pruner = new Pruner(join(config.state_dir, "logs"), config.logs.keep, (leftovers) => this.spawner.remove(leftovers), log);
    this.context = {
      ledger,
      spawner: this.spawner,
      logs: join(config.state_dir, "logs"),
      limits: config.logs,
      stepTimesEvery: config.step_times_every * 1000,
      ended: (worker, clean) => this.ended(worker, clean),
      trouble: (message, error) => log.error({ error }, message),
    };
    const runningOf = (key: AttemptKey): Worker[] => ledger.attemptWorkers(key).flatMap((entry) => this.running.get(workerName(entry.record)) ?? []);
    this.stopper = new Stopper(ledger, this.area, (name) => this.running.get(name), runningOf);
    this.sealer = new Sealer(ledger, this.area, this.users, (key) => this.stopper.sawCommit(key));
    if (config.kernel_log !== undefined && config.nodes.length === 1)
      this.kernel = new KernelLog(config.kernel_log, (error) =>
        log.warn({ error }, "the kernel's log can't be read; device errors are seen only where a job says them"),
      );
    ledger.onTrouble((error) => log.error({ error }, "the journal can't be written; nothing is started or reported until it can"));
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  static async open(config: AgentConfig, log: Logger): Promise<Agent> {
    mkdirSync(join(config.state_dir, "logs"), { recursive: true, mode: 0o700 });
    const recordPath = join(config.state_dir, "cgroups.json");
    const recorded = existsSync(recordPath) ? (JSON.parse(readFileSync(recordPath, "utf8")) as CgroupBases) : undefined;
    const ledger = await Ledger.open(join(config.state_dir, "journal"));
    const { bases, missing } = detectCgroups(`muster-${ledger.epoch}`, recorded);
    writeFileSync(`${recordPath}.next`, JSON.stringify(bases));
    renameSync(`${recordPath}.next`, recordPath);
    if (missing.length > 0) log.warn({ missing }, "this machine doesn't offer everything; going on without");
    const agent = new Agent(config, ledger, bases, log);
    if (!agent.users.separate) log.warn("not root: workers run as this user, and can reach what it can");
    await agent.adoptAll();
    agent.reportNodes();
    return agent;
  }

  /** Journals what is accepted and refuses the rest; resolves when either is on disk. */
  async start(starts: WorkerStart[]): Promise<void> {
    const admitted = this.admitting.then(() => this.admit(starts));
    this.admitting = admitted.catch(() => {});
    await admitted;
    await this.ledger.durable();
    this.launch();
  }

  refuseInvalid(key: WorkerKey, reason: string): void {
    this.ledger.observe(refusal(key, "invalid", reason));
  }

  async stop(stops: WorkerStop[]): Promise<void> {
    this.stopper.stop(stops);
    await this.ledger.durable();
  }

  async checkpointNow(attempts: AttemptKey[]): Promise<void> {
    for (const key of attempts) this.stopper.askCheckpoint(key);
    await this.ledger.durable();
  }

  seal(commits: SealCheckpoint[]): void {
    this.sealer.add(commits);
  }

  async forget(attempts: AttemptKey[]): Promise<void> {
    for (const key of attempts) {
      const workers = this.ledger.attemptWorkers(key).map((entry) => entry.record);
      if (this.ledger.forget([key]).length === 0) continue;
      const started = workers.find((one) => one.id > 0);
      this.pruner.remove(this.area.leftover(key, workers, started?.checkpointDir, started?.resumeLink));
      this.pruner.forgot(key);
    }
    await this.ledger.durable();
  }

  snapshot(): ShardSnapshot {
    return {
      epoch: this.ledger.epoch,
      seq: this.ledger.durableSeq,
      workers: [...this.ledger.workers.values()].flatMap((entry) => {
        const { job, incarnation, attempt, worker, node } = entry.record;
        if (entry.state === "refused") return [];
        return [
          {
            job,
            incarnation,
            attempt,
            worker,
            node,
            state: entry.state,
            exitCode: entry.exitCode,
            signal: entry.signal,
            oom: entry.oom,
            stopping: entry.stop !== undefined && alive(entry),
          },
        ];
      }),
      nodes: this.config.nodes.map(({ name }) => ({ node: name, bootId: this.nodeBootId(name) })),
      incarnation: this.ledger.incarnation,
    };
  }

  readLog(key: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    const entry = this.ledger.workers.get(workerName(key));
    return readLog(this.context.logs, key, offset, limit, !entry || !alive(entry));
  }

  /** Takes nodes, volumes and roots from a changed configuration; where the state lies stays. */
  reload(config: AgentConfig): void {
    this.config = { ...config, state_dir: this.config.state_dir };
    this.sources.config = this.config;
    this.area.config = this.config;
    this.reportNodes();
  }

  /** Ends the agent; with `kill`, all workers first. */
  async close(kill: boolean): Promise<void> {
    if (kill) await this.killAll();
    clearInterval(this.ticker);
    this.kernel?.close();
    await this.sealer.idle();
    await this.pruner.idle();
    await this.ledger.close();
    this.spawner.close();
    if (this.running.size === 0) {
      this.slots.close();
      removeBases(this.bases);
    }
  }

  private async killAll(): Promise<void> {
    this.launches = [];
    await Promise.all([...this.running.values()].map((worker) => this.stopper.killNow(worker)));
  }

  /** Nodes that a test told to refuse, to stand for machines that are gone: names, one a line, in the file `refuse`. */
  private refusing(): ReadonlySet<string> {
    const path = join(this.config.state_dir, "refuse");
    if (!existsSync(path)) return new Set();
    return new Set(readFileSync(path, "utf8").split("\n"));
  }

  private nodeBootId(node: string): string {
    return `${this.boot}/${node}`;
  }

  /** What the kernel and the disks say of the machine. */
  private lookAtNodes(now: number): void {
    if (now - this.nodesLooked < NODE_LOOK_MS) return;
    this.nodesLooked = now;
    const lines = this.kernel?.take(now) ?? [];
    if (now - this.disksLooked >= DISK_LOOK_MS) {
      this.disksLooked = now;
      lines.push(...this.disks.take([this.config.state_dir, this.area.path]));
    }
    for (const line of lines) for (const { name } of this.config.nodes) this.ledger.observe({ kind: "noticed", node: name, line });
  }

  private readonly boot = bootId();

  private reportNodes(): void {
    for (const { name } of this.config.nodes) this.ledger.observe({ kind: "node", node: name, bootId: this.nodeBootId(name), health: "ready" });
  }

  private async admit(starts: WorkerStart[]): Promise<void> {
    const refusing = this.refusing();
    for (const start of starts) {
      const verdict = judgeStart(this.ledger, this.config, start, refusing);
      if (verdict.kind === "known") continue;
      if (verdict.kind === "refuse") {
        for (const news of verdict.news) this.ledger.observe(news);
        continue;
      }
      let jobCheckpoints: string;
      let secrets: Record<string, string>;
      try {
        jobCheckpoints = this.area.jobCheckpoints(start.job, start.checkpoint.dir);
        secrets = readSecrets(this.config.secrets_dir, start.project, start.secrets);
      } catch (error) {
        this.ledger.observe(refusal(start, "invalid", (error as Error).message));
        continue;
      }
      const user = await this.users.of(start.project);
      const slot = await this.slots.take(user.uid, user.gid);
      const entry = this.ledger.start(this.record(start, user, slot, jobCheckpoints));
      this.launches.push(() => this.launchOne(start, entry, slot, user, secrets, jobCheckpoints));
    }
  }

  private record(start: WorkerStart, user: User, slot: Slot, jobCheckpoints: string): WorkerRecord {
    const paths = this.area.paths(start, jobCheckpoints);
    const { signal, marker, committed, reports, resumeFrom } = start.checkpoint;
    return {
      ...attemptOf(start),
      worker: start.worker,
      id: this.ledger.lastId + 1,
      node: start.node,
      project: start.project,
      slot: slot.name,
      ...user,
      checkpointDir: paths.checkpoint,
      resumeLink: paths.resume,
      checkpoint: {
        ...(signal !== undefined && { signal }),
        ...(marker !== undefined && { marker }),
        ...(committed !== undefined && { committed }),
        reports,
        sealed: resumeFrom !== undefined,
      },
      progress: start.progress,
      watch: start.watch,
      firstRank: start.firstRank,
      ranks: start.ranks,
      mounts: start.mounts.length > 0,
    };
  }

  /** Launches what waits, a few after another; between, the ends of others get their turn. */
  private launch(): void {
    if (this.launching) return;
    this.launching = true;
    void (async () => {
      let launched = 0;
      for (let next = this.launches.shift(); next; next = this.launches.shift()) {
        await next();
        if (++launched % LAUNCHES_AT_ONCE > 0) continue;
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      this.launching = false;
    })();
  }

  private async launchOne(
    start: WorkerStart,
    entry: WorkerEntry,
    slot: Slot,
    user: User,
    secrets: Record<string, string>,
    jobCheckpoints: string,
  ): Promise<void> {
    const older = this.ledger.olderAlive(start);
    // what waits for others must not hold up the rest
    if (older.length > 0 || start.source) void this.prepareAndSpawn(start, entry, slot, user, secrets, jobCheckpoints, older);
    else await this.prepareAndSpawn(start, entry, slot, user, secrets, jobCheckpoints, older);
  }

  private async prepareAndSpawn(
    start: WorkerStart,
    entry: WorkerEntry,
    slot: Slot,
    user: User,
    secrets: Record<string, string>,
    jobCheckpoints: string,
    older: WorkerEntry[],
  ): Promise<void> {
    const paths = this.area.paths(start, jobCheckpoints);
    const refuse = (code: "start_failed" | "source_failed", error: unknown): void => {
      this.ledger.observe(refusal(start, code, (error as Error).message));
      this.slots.release(slot, user.uid, slot.group.confirms);
    };
    let prepare: Step[];
    try {
      for (const one of older) await this.stopper.endOlder(one);
      const { resumeFrom } = start.checkpoint;
      if (start.source || usesShared(start)) this.area.makeAttempt(start, user, paths);
      if (resumeFrom !== undefined) this.sealer.pointAtStart(paths.resume, resumeFrom);
      prepare = this.area.workerSteps(start, user, paths, fillPaths(pathVariables(paths)));
    } catch (error) {
      return refuse("start_failed", error);
    }
    let cwd = paths.dir;
    try {
      if (start.source) cwd = await this.sources.checkOut(start.source, start, user, paths.source);
      if (start.workdir !== undefined) {
        if (!start.source) takeSteps(prepare.splice(0));
        cwd = this.sources.workdir(cwd, start.workdir);
      }
    } catch (error) {
      return refuse("source_failed", error);
    }
    if (entry.stop) return refuse("start_failed", new Error("it was stopped before it was started"));
    try {
      slot.group.limit(start.limits.cpus, start.limits.memory);
      const worker = new Worker(this.context, entry, slot, paths.progress, true);
      const variables = pathVariables(paths);
      const name = workerName(start);
      this.running.set(name, worker);
      try {
        const wrap = start.mounts.length > 0 ? mountWrap(this.config, start.mounts, user) : undefined;
        worker.start({
          prepare,
          argv: start.argv.map((word) => expand(word, variables)),
          env: workerEnv(start, paths, secrets),
          cwd,
          ...(this.users.separate && { user }),
          ...(wrap && { wrap }),
        });
      } catch (error) {
        this.running.delete(name);
        throw error;
      }
    } catch (error) {
      refuse("start_failed", error);
    }
  }

  private ended(worker: Worker, clean: boolean): void {
    const { record } = worker.entry;
    this.running.delete(workerName(record));
    this.stopper.ended(worker);
    this.slots.release(worker.slot, record.uid, clean);
  }

  /** Finds the workers of an earlier agent: by control group, pid with start time, and environment. */
  private async adoptAll(): Promise<void> {
    const open = [...this.ledger.workers.values()].filter(alive);
    if (open.length === 0) return;
    const marks = findByMark();
    for (const entry of open) {
      const slot = this.slots.restore(entry.record.slot);
      const progress = this.area.paths(entry.record, join(entry.record.checkpointDir, "..")).progress;
      const worker = new Worker(this.context, entry, slot, progress, false);
      this.running.set(workerName(entry.record), worker);
      worker.adopt(marks.get(workerMark(entry.record)) ?? []);
      this.stopper.resume(worker);
    }
    this.log.info({ workers: open.length }, "took up the workers of an earlier agent");
    await this.ledger.durable();
  }

  private tick(): void {
    const now = Date.now();
    for (const worker of this.running.values()) worker.tick(now);
    this.stopper.tick(now);
    this.lookAtNodes(now);
  }
}
