import {
  Unreachable,
  type AttemptKey,
  type LogChunk,
  type SealCheckpoint,
  type ShardSnapshot,
  type WorkerKey,
  type WorkerStart,
  type WorkerStop,
} from "@muster/engine";
import type { KubernetesConfig } from "@muster/model";
import type { Logger } from "pino";
import { KubeApi, KubeError } from "./api.ts";
import { Delegates } from "./delegated/delegates.ts";
import { Feed } from "./feed.ts";
import { Fences } from "./fences.ts";
import { Follower } from "./follower.ts";
import { Gangs } from "./gangs.ts";
import { Informer } from "./informer.ts";
import { LogTail } from "./log-tail.ts";
import * as names from "./names.ts";
import { Nodes } from "./nodes.ts";
import { readPod, type PodView } from "./pod-state.ts";
import { imageOf } from "./pod.ts";
import { Roster } from "./roster.ts";
import { readSeal, type SealView } from "./seal-pod.ts";
import { Sealer } from "./sealer.ts";
import { SharedObjects } from "./shared-objects.ts";
import { Starter } from "./starter.ts";
import { Stopper } from "./stopper.ts";
import { STALE_MS, Watcher } from "./watcher.ts";
import { Worker, type WorkerHost } from "./worker.ts";
import { PodWriter } from "./writer.ts";

/*
 * One cluster: what runs there for us, followed by informers, and how it is brought up and down. Nothing is kept but in the
 * cluster: what a pod was made for stands in its labels and annotations, and the next engine reads it there.
 */

export interface ShardOptions {
  shard: string;
  config: KubernetesConfig;
  /** Makers of the pools' accelerators, by pool. */
  vendors: Readonly<Record<string, string>>;
  logger: Logger;
  api?: KubeApi;
}

const TICK_MS = 250;
/** Between looks at what was handed to operators. */
const LOOK_MS = 2000;
const READY_MS = 20_000;
const SWEEP_MS = 600_000;

export class KubernetesShard {
  readonly shard: string;
  readonly config: KubernetesConfig;
  readonly api: KubeApi;
  readonly feed = new Feed();
  readonly nodes: Nodes;
  private readonly logger: Logger;
  private readonly roster = new Roster();
  private readonly shared = new SharedObjects();
  private readonly writer: PodWriter;
  private readonly fences: Fences;
  private readonly follower: Follower;
  private readonly stopper: Stopper;
  private readonly sealer: Sealer;
  private readonly delegates: Delegates;
  private readonly gangs: Gangs;
  private readonly starter: Starter;
  private readonly watcher: Watcher;
  private readonly pods: Informer<PodView | SealView | undefined>;
  private readonly events: Informer<undefined>;
  private readonly host: WorkerHost;
  private ticker: NodeJS.Timeout | undefined;
  private sweptAt = Date.now();
  private lookedAt = 0;
  /** How many use it: with none, it only watches. */
  users = 0;

  private constructor({ shard, config, vendors, logger }: ShardOptions, api: KubeApi) {
    this.shard = shard;
    this.config = config;
    this.logger = logger;
    this.api = api;
    const note = this.feed.note.bind(this.feed);
    const trouble = (error: unknown): void => this.trouble(error);
    const interrupted = (what: string) => (error: unknown) => logger.warn({ shard, err: error }, `watching ${what} was interrupted`);
    this.writer = new PodWriter(api, config, shard);
    this.fences = new Fences(api, config.namespace, shard);
    this.nodes = new Nodes(api, config, shard, vendors, interrupted, () => this.watcher.sawNodes());
    this.follower = new Follower(api, this.writer.path("pods"), config.logs === "none");
    this.host = { note, follow: (worker) => this.follower.follow(worker) };
    this.delegates = new Delegates({
      api,
      shard,
      namespace: config.namespace,
      priorityClass: config.priority_class,
      tolerations: config.tolerations,
      startTimeout: config.start_timeout,
      note,
      placeOf: (node) => this.nodes.placeOf(node),
      unfit: (node) => this.nodes.unfit(node),
      imageOf: (start) => imageOf(start, config),
    });
    this.gangs = new Gangs(
      {
        active: () => this.users > 0,
        members: (key) => this.roster.ofAttempt(key),
        olderAlive: (key) => this.starter.olderAlive(key),
        unfit: (node) => this.nodes.unfit(node),
        release: (worker) => this.openGate(worker),
        giveUp: (worker, reason) => this.watcher.giveUp(worker, reason),
      },
      config.bind_timeout * 1000,
    );
    this.stopper = new Stopper(this.writer, trouble);
    this.sealer = new Sealer(api, this.writer, config, shard, this.fences, note, (node) => this.nodes.clusterName(node));
    const { feed, fences, nodes, roster, writer, gangs, host, delegates, stopper, follower, shared } = this;
    const parts = { shard, config, fences, nodes, roster, writer, gangs, host };
    this.watcher = new Watcher({ ...parts, logger, follower, shared, trouble, active: () => this.users > 0, age: () => this.pods.age() });
    this.starter = new Starter({ ...parts, feed, stopper, delegates, made: (pod) => this.pods.put(pod), release: (worker) => this.watcher.release(worker) });
    this.pods = new Informer({
      api,
      path: this.writer.path("pods"),
      query: { labelSelector: `${names.SHARD}=${shard}` },
      trim: (object) => {
        this.shared.saw(object);
        return readPod(object) ?? readSeal(object);
      },
      changed: (_, now, before) => this.sawPod(now, before),
      trouble: interrupted("pods"),
    });
    this.events = new Informer({
      api,
      path: `/api/v1/namespaces/${config.namespace}/events`,
      query: { fieldSelector: "involvedObject.kind=Pod,type=Warning" },
      trim: (object) => this.watcher.sawEvent(object),
      changed: () => {},
      trouble: interrupted("events"),
    });
  }

  static async open(options: ShardOptions): Promise<KubernetesShard> {
    const api = options.api ?? (await KubeApi.open({ kubeconfig: options.config.kubeconfig, context: options.config.context }));
    const shard = new KubernetesShard(options, api);
    try {
      await shard.begin();
      return shard;
    } catch (error) {
      await shard.close();
      if (error instanceof KubeError) throw new Unreachable(`shard ${options.shard}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  private async begin(): Promise<void> {
    await this.writer.install();
    this.fences.owner = this.writer.owner;
    await this.fences.load();
    this.nodes.start();
    this.pods.start();
    this.events.start();
    await withinTime(Promise.all([this.pods.ready(), this.nodes.ready()]), READY_MS, `shard ${this.shard}: its nodes and pods can't be listed`);
    for (const key of await this.delegates.load()) this.fences.raise(key, false);
    this.ticker = setInterval(() => this.tick(), TICK_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.ticker);
    this.follower.close();
    await Promise.all([this.pods.stop(), this.events.stop(), this.nodes.stop()]);
    this.feed.wake();
    await this.api.close();
  }

  /** Milliseconds since anything was heard, by what is watched. */
  ages(): Record<string, number> {
    return { pods: this.pods.age(), ...this.nodes.ages() };
  }

  async ping(): Promise<void> {
    await this.api.askText({ method: "GET", path: "/readyz", timeout: 3000, tries: 1 }).catch((error: unknown) => {
      throw error instanceof KubeError ? new Unreachable(`the API server is not ready: ${error.message}`, { cause: error }) : error;
    });
    this.fresh();
  }

  snapshot(): ShardSnapshot {
    this.fresh();
    return {
      epoch: this.feed.epoch,
      seq: this.feed.seq,
      workers: [...[...this.roster].flatMap((worker) => worker.status() ?? []), ...this.delegates.statuses()],
      nodes: this.nodes.boots(),
      incarnation: this.fences.incarnation,
    };
  }

  start(starts: readonly WorkerStart[]): Promise<void> {
    return this.starter.start(starts);
  }

  async stop(stops: readonly WorkerStop[]): Promise<void> {
    const never: WorkerKey[] = [];
    await Promise.all(
      stops.map(async (stop) => {
        if (await this.delegates.stop(stop)) return;
        const worker = this.roster.get(stop);
        if (!worker || (worker.state === "lost" && !worker.pod)) never.push(names.workerOf(stop));
        else await this.stopper.stop(worker, stop.mode, stop.grace);
      }),
    );
    if (never.length === 0) return;
    const fresh = never.filter((key) => !this.fences.isOver(key));
    await this.fences.neverStart(fresh);
    for (const key of fresh) {
      if (!this.roster.get(key)) this.roster.add(new Worker(this.host, key, "", "")).state = "lost";
    }
    for (const key of never) this.feed.note({ kind: "lost", reason: "never started", ...key });
  }

  async checkpointNow(attempts: readonly AttemptKey[]): Promise<void> {
    await Promise.all(
      attempts.flatMap((key) => this.roster.ofAttempt(key)).flatMap((worker) => (worker.alive && worker.pod ? [this.stopper.askCheckpoint(worker)] : [])),
    );
  }

  async seal(commits: readonly SealCheckpoint[]): Promise<void> {
    await this.sealer.seal(commits);
  }

  async forget(attempts: readonly AttemptKey[]): Promise<void> {
    const over = attempts.filter((key) => this.roster.ofAttempt(key).every((worker) => !worker.alive) && !this.delegates.lives(key));
    if (over.length === 0) return;
    await this.fences.close(over);
    this.feed.forget(over);
    await Promise.all([
      ...over.flatMap((key) => this.roster.ofAttempt(key)).map((worker) => this.watcher.drop(worker)),
      ...over.map((key) => this.delegates.forget(key)),
    ]);
  }

  async readLog(key: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    const worker = this.roster.get(key);
    const over = !worker?.alive;
    if (!worker?.tail) return { offset, next: offset, end: over, data: new Uint8Array() };
    const data = worker.tail.read(offset, limit) ?? (await this.readAgain(worker, offset, limit));
    return { offset, next: offset + data.length, end: over && offset + data.length >= worker.tail.size, data: new Uint8Array(data) };
  }

  /** The host name of a worker's pod. */
  addressOf(key: WorkerKey): string | undefined {
    return this.config.network === "service" ? `${names.podName(key)}.muster-workers.${this.config.namespace}.svc` : undefined;
  }

  private sawPod(now: PodView | SealView | undefined, before: PodView | SealView | undefined): void {
    const view = now ?? before;
    if (!view) return;
    if ("sealed" in view) {
      if (now) this.sealer.saw(view, () => this.sawSealed(view.key));
      else this.sealer.gone(view);
    } else if (now) this.watcher.sawPod(view);
    else this.watcher.sawGone(view);
  }

  private sawSealed(key: AttemptKey): void {
    for (const worker of this.roster.ofAttempt(key)) this.stopper.sawCommit(worker);
  }

  private async openGate(worker: Worker): Promise<void> {
    try {
      this.pods.put(await this.writer.release(worker.pod as PodView));
    } catch (error) {
      // changed or gone meanwhile, or not reached: the next look decides anew
      if (!(error instanceof KubeError && (error.status === 404 || error.status === 409))) this.trouble(error);
    }
  }

  private tick(): void {
    const now = Date.now();
    const active = this.users > 0;
    for (const worker of this.roster) {
      if (!worker.alive) continue;
      this.watcher.tick(worker, now);
      if (active) this.stopper.tick(worker, now);
    }
    this.gangs.tick();
    if (!active) return;
    this.sealer.tick(now);
    if (now - this.lookedAt >= LOOK_MS) {
      this.lookedAt = now;
      void this.delegates.look().catch((error: unknown) => this.trouble(error));
    }
    if (now - this.sweptAt < SWEEP_MS) return;
    this.sweptAt = now;
    void this.writer.sweep(this.shared.usedFiles(), now - SWEEP_MS).catch((error: unknown) => this.trouble(error));
  }

  /** Output that is no longer kept here is still with the kubelet. */
  private async readAgain(worker: Worker, offset: number, limit: number): Promise<Buffer> {
    const text = await this.api
      .askText({ method: "GET", path: `${this.writer.path("pods")}/${worker.podName}/log`, query: { container: "worker", timestamps: true } })
      .catch((error: unknown) => {
        if (error instanceof KubeError) return "";
        throw error;
      });
    const none = (): void => {};
    const tail = new LogTail({ progress: { preset: "none" }, watch: [] }, { progress: none, commit: none, matched: none, told: none });
    tail.keepAll();
    tail.push(Buffer.from(text));
    tail.end();
    return tail.read(offset, limit) ?? Buffer.alloc(0);
  }

  private fresh(): void {
    const age = Math.max(this.pods.age(), this.nodes.ages()["nodes"] ?? 0);
    if (age > STALE_MS) throw new Unreachable(`shard ${this.shard}: nothing was heard of its pods and nodes for ${Math.round(age / 1000)} s`);
  }

  private trouble(error: unknown): void {
    this.logger.warn({ shard: this.shard, err: error }, "a request to the cluster failed; it is tried again");
  }
}

async function withinTime<T>(work: Promise<T>, milliseconds: number, why: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Unreachable(why)), milliseconds);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
