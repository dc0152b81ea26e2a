import {
  compareFence,
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
import { forbidden } from "./allowed.ts";
import { KubeApi, KubeError, type KubeObject } from "./api.ts";
import { Delegates } from "./delegated/delegates.ts";
import { Feed, type News } from "./feed.ts";
import { Fences } from "./fences.ts";
import { Follower } from "./follower.ts";
import { Gangs } from "./gangs.ts";
import { Informer } from "./informer.ts";
import { isOfEarlierBoot, judge } from "./judge.ts";
import { LogTail } from "./log-tail.ts";
import * as names from "./names.ts";
import { Nodes } from "./nodes.ts";
import { answers } from "./node-view.ts";
import { readPod, timeOf, type PodView } from "./pod-state.ts";
import { imageOf } from "./pod.ts";
import { readSeal, type SealView } from "./seal-pod.ts";
import { Sealer } from "./sealer.ts";
import { Stopper } from "./stopper.ts";
import { Worker, type WorkerHost } from "./worker.ts";
import { PodWriter, type Prepared } from "./writer.ts";

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
/** Beyond this age of what is known of the pods, nothing is concluded from it. */
const STALE_MS = 120_000;
const SWEEP_MS = 600_000;
const EVENT_AGE_MS = 10_000;

export class KubernetesShard {
  readonly shard: string;
  readonly config: KubernetesConfig;
  readonly api: KubeApi;
  readonly feed = new Feed();
  readonly nodes: Nodes;
  readonly workers = new Map<string, Worker>();
  private readonly logger: Logger;
  private readonly writer: PodWriter;
  private readonly fences: Fences;
  private readonly follower: Follower;
  private readonly stopper: Stopper;
  private readonly sealer: Sealer;
  private readonly delegates: Delegates;
  private readonly pods: Informer<PodView | SealView | undefined>;
  private readonly events: Informer<undefined>;
  private readonly byName = new Map<string, Worker>();
  private readonly byJob = new Map<string, Set<Worker>>();
  private readonly tokens = new Map<string, number>();
  private readonly tokensOf = new Map<string, string>();
  private readonly filesOf = new Map<string, string>();
  private readonly gangs: Gangs;
  private readonly bornAt = Date.now();
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
    this.writer = new PodWriter(api, config, shard);
    this.fences = new Fences(api, config.namespace, shard);
    const trouble = (what: string) => (error: unknown) => logger.warn({ shard, err: error }, `watching ${what} was interrupted`);
    this.nodes = new Nodes(api, config, shard, vendors, trouble, () => this.sawNodes());
    this.follower = new Follower(api, this.writer.path("pods"), config.logs === "none");
    this.host = { note: (news) => this.feed.note(news), follow: (worker) => this.follower.follow(worker) };
    this.delegates = new Delegates({
      api,
      shard,
      namespace: config.namespace,
      priorityClass: config.priority_class,
      tolerations: config.tolerations,
      startTimeout: config.start_timeout,
      note: (news) => this.feed.note(news),
      placeOf: (node) => this.nodes.placeOf(node),
      unfit: (node) => this.nodes.unfit(node),
      imageOf: (start) => imageOf(start, config),
    });
    this.gangs = new Gangs(
      {
        active: () => this.users > 0,
        members: (key) => this.ofAttempt(key),
        olderAlive: (key) => this.olderAlive(key),
        unfit: (node) => this.nodes.unfit(node),
        release: (worker) => this.releaseOne(worker),
        giveUp: (worker, reason) => this.giveUp(worker, reason),
      },
      config.bind_timeout * 1000,
    );
    this.stopper = new Stopper(this.writer, (error) => this.trouble(error));
    this.sealer = new Sealer(
      api,
      this.writer,
      config,
      shard,
      this.fences,
      (news) => this.feed.note(news),
      (node) => this.nodes.clusterName(node),
    );
    this.pods = new Informer({
      api,
      path: this.writer.path("pods"),
      query: { labelSelector: `${names.SHARD}=${shard}` },
      trim: (object) => {
        this.sawObject(object);
        return readPod(object) ?? readSeal(object);
      },
      changed: (_, now, before) => this.sawPod(now, before),
      trouble: trouble("pods"),
    });
    this.events = new Informer({
      api,
      path: `/api/v1/namespaces/${config.namespace}/events`,
      query: { fieldSelector: "involvedObject.kind=Pod,type=Warning" },
      trim: (object) => this.sawEvent(object),
      changed: () => {},
      trouble: trouble("events"),
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
      workers: [...[...this.workers.values()].flatMap((worker) => worker.status() ?? []), ...this.delegates.statuses()],
      nodes: this.nodes.boots(),
      incarnation: this.fences.incarnation,
    };
  }

  async start(starts: readonly WorkerStart[]): Promise<void> {
    const counts = new Map<string, number>();
    for (const start of starts) counts.set(names.attemptName(start), (counts.get(names.attemptName(start)) ?? 0) + 1);
    const admitted = starts.filter((start) => this.admit(start));
    for (const start of admitted) if (start.delegated) await this.delegates.start(start, start.gang ?? counts.get(names.attemptName(start)) ?? 1);
    const accepted = admitted.filter((start) => !start.delegated);
    if (accepted.length === 0) return;
    for (const start of accepted) this.adopt(new Worker(this.host, names.workerOf(start), start.node, names.podName(start)));
    let prepared: Prepared;
    try {
      prepared = await this.writer.prepare(accepted);
    } catch (error) {
      return this.notMade(accepted, error);
    }
    const made = await Promise.all(
      accepted.map((start) => {
        const older = this.olderAlive(start);
        for (const one of older) void this.stopper.stop(one, "kill", 0);
        const count = start.gang ?? counts.get(names.attemptName(start)) ?? 1;
        // one alone needs no gate, unless it has to wait for an older one's end
        return this.create(start, count > 1 || older.length > 0 ? count : undefined, prepared);
      }),
    );
    if (!made.some((one) => one === "made")) await this.writer.dropTokens(prepared.tokens).catch(() => {});
    const unknown = made.find((one): one is Unreachable => one instanceof Unreachable);
    for (const start of accepted) this.gangs.consider(start);
    if (unknown) throw unknown;
  }

  async stop(stops: readonly WorkerStop[]): Promise<void> {
    const never: WorkerKey[] = [];
    await Promise.all(
      stops.map(async (stop) => {
        if (await this.delegates.stop(stop)) return;
        const worker = this.workers.get(names.workerName(stop));
        if (!worker || (worker.state === "lost" && !worker.pod)) never.push(names.workerOf(stop));
        else await this.stopper.stop(worker, stop.mode, stop.grace);
      }),
    );
    if (never.length === 0) return;
    const fresh = never.filter((key) => !this.isOver(key));
    await this.fences.neverStart(fresh);
    for (const key of fresh) {
      if (!this.workers.has(names.workerName(key))) this.adopt(new Worker(this.host, key, "", "")).state = "lost";
    }
    for (const key of never) this.feed.note({ kind: "lost", reason: "never started", ...key });
  }

  async checkpointNow(attempts: readonly AttemptKey[]): Promise<void> {
    await Promise.all(
      attempts.flatMap((key) => this.ofAttempt(key)).flatMap((worker) => (worker.alive && worker.pod ? [this.stopper.askCheckpoint(worker)] : [])),
    );
  }

  async seal(commits: readonly SealCheckpoint[]): Promise<void> {
    await this.sealer.seal(commits);
  }

  async forget(attempts: readonly AttemptKey[]): Promise<void> {
    const over = attempts.filter((key) => this.ofAttempt(key).every((worker) => !worker.alive) && !this.delegates.lives(key));
    if (over.length === 0) return;
    await this.fences.close(over);
    this.feed.forget(over);
    await Promise.all([...over.flatMap((key) => this.ofAttempt(key)).map((worker) => this.drop(worker)), ...over.map((key) => this.delegates.forget(key))]);
  }

  async readLog(key: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    const worker = this.workers.get(names.workerName(key));
    const over = !worker?.alive;
    if (!worker?.tail) return { offset, next: offset, end: over, data: new Uint8Array() };
    const data = worker.tail.read(offset, limit) ?? (await this.readAgain(worker, offset, limit));
    return { offset, next: offset + data.length, end: over && offset + data.length >= worker.tail.size, data: new Uint8Array(data) };
  }

  /** The host name of a worker's pod. */
  addressOf(key: WorkerKey): string | undefined {
    return this.config.network === "service" ? `${names.podName(key)}.muster-workers.${this.config.namespace}.svc` : undefined;
  }

  /** Whether a start may go ahead; if not, why not is observed, or it is known already. */
  private admit(start: WorkerStart): boolean {
    const known = this.workers.get(names.workerName(start));
    const refuse = (code: Extract<News, { kind: "refused" }>["code"], reason: string): false => {
      this.feed.note({ kind: "refused", code, reason, ...names.workerOf(start) });
      return false;
    };
    if (this.fences.isNever(start)) return refuse("stale", "it was stopped before it was started");
    if (known || this.delegates.has(start)) return false;
    const fence = this.fences.get(start.job);
    const newer: News = { kind: "newer_known", job: start.job, incarnation: fence?.incarnation ?? this.fences.incarnation, attempt: fence?.attempt ?? 0 };
    if (BigInt(start.incarnation) < BigInt(this.fences.incarnation)) {
      refuse("newer_known", `incarnation ${this.fences.incarnation} is known`);
      this.feed.note(newer);
      return false;
    }
    const order = fence ? compareFence(start, fence) : 1;
    if (order < 0) {
      refuse("stale", "an older attempt");
      this.feed.note(newer);
      return false;
    }
    if (order === 0 && fence?.closed) return refuse("stale", "the attempt has ended and is recorded");
    if (!this.nodes.knows(start.node)) return refuse("no_such_node", `no node ${start.node}`);
    const wrong = forbidden(start, this.config, this.shard);
    if (wrong !== undefined) return refuse("invalid", wrong);
    this.fences.raise(start, false);
    return true;
  }

  private async create(start: WorkerStart, gang: number | undefined, prepared: Prepared): Promise<"made" | "known" | "refused" | Unreachable> {
    try {
      const object = await this.writer.create(start, this.nodes.placeOf(start.node), gang, prepared);
      if (!object) return "known";
      this.pods.put(object);
      return "made";
    } catch (error) {
      if (error instanceof KubeError) {
        this.workers.get(names.workerName(start))?.refuse(`the API server refuses its pod: ${error.message}`);
        return "refused";
      }
      // whether it is there is for the informer to say; sent again, it is found
      const worker = this.workers.get(names.workerName(start));
      if (worker && !worker.pod) this.release(worker);
      return error instanceof Unreachable ? error : new Unreachable(String(error), { cause: error });
    }
  }

  private notMade(starts: readonly WorkerStart[], error: unknown): void {
    for (const start of starts) {
      const worker = this.workers.get(names.workerName(start)) as Worker;
      if (error instanceof KubeError) worker.refuse(`the API server refuses its files: ${error.message}`);
      else this.release(worker);
    }
    if (!(error instanceof KubeError)) throw error;
  }

  private isOver(key: AttemptKey): boolean {
    const fence = this.fences.get(key.job);
    const order = fence ? compareFence(key, fence) : 1;
    return order < 0 || (order === 0 && (fence?.closed ?? false));
  }

  private ofAttempt(key: AttemptKey): Worker[] {
    return [...(this.byJob.get(key.job) ?? [])].filter((worker) => worker.key.attempt === key.attempt && worker.key.incarnation === key.incarnation);
  }

  /** Older workers of its job that can still confirm their end. One whose node doesn't answer can't: that it is gone on without was decided above. */
  private olderAlive(key: AttemptKey): Worker[] {
    return [...(this.byJob.get(key.job) ?? [])].filter((worker) => {
      if (!worker.alive || compareFence(worker.key, key) >= 0) return false;
      const node = this.nodes.get(worker.node);
      return !worker.pod?.bound || (node !== undefined && answers(node));
    });
  }

  private adopt(worker: Worker): Worker {
    this.workers.set(names.workerName(worker.key), worker);
    if (worker.podName !== "") this.byName.set(worker.podName, worker);
    const ofJob = this.byJob.get(worker.key.job);
    if (ofJob) ofJob.add(worker);
    else this.byJob.set(worker.key.job, new Set([worker]));
    return worker;
  }

  /** Nothing of it is known any more. */
  private release(worker: Worker): void {
    this.workers.delete(names.workerName(worker.key));
    this.byName.delete(worker.podName);
    this.follower.drop(worker);
    const ofJob = this.byJob.get(worker.key.job);
    if (ofJob?.delete(worker) && ofJob.size === 0) this.byJob.delete(worker.key.job);
  }

  private async drop(worker: Worker): Promise<void> {
    if (worker.pod) await this.writer.letGo(worker.pod);
    this.release(worker);
    await this.leanedEnough(worker.podName);
  }

  /** The pod needs nothing any more. The tokens go with the last that leaned on them, files that nobody uses in a sweep. */
  private async leanedEnough(pod: string): Promise<void> {
    this.filesOf.delete(pod);
    const secret = this.tokensOf.get(pod);
    if (secret === undefined) return;
    this.tokensOf.delete(pod);
    const left = (this.tokens.get(secret) ?? 1) - 1;
    if (left > 0) this.tokens.set(secret, left);
    else {
      this.tokens.delete(secret);
      if (this.users > 0) await this.writer.dropTokens(secret);
    }
  }

  /** What a pod leans on. One that was let go of is looked at once more as it leaves, and leans on nothing. */
  private sawObject(object: KubeObject): void {
    const name = object.metadata.name as string;
    if (this.tokensOf.has(name) || !(object.metadata["finalizers"] as string[] | undefined)?.includes(names.FINALIZER)) return;
    const volumes =
      (object["spec"] as { volumes?: { projected?: { sources?: { secret?: { name: string }; configMap?: { name: string } }[] } }[] }).volumes ?? [];
    const sources = volumes.flatMap((volume) => volume.projected?.sources ?? []);
    const secret = sources.find((source) => source.secret)?.secret?.name;
    if (secret !== undefined) {
      this.tokensOf.set(name, secret);
      this.tokens.set(secret, (this.tokens.get(secret) ?? 0) + 1);
    }
    const files = sources.find((source) => source.configMap?.name.startsWith("muster-files-"))?.configMap?.name;
    if (files !== undefined) this.filesOf.set(name, files);
  }

  private sawPod(now: PodView | SealView | undefined, before: PodView | SealView | undefined): void {
    const view = now ?? before;
    if (!view) return;
    if ("sealed" in view) {
      if (now) this.sealer.saw(view, () => this.sawSealed(view.key));
      else this.sealer.gone(view);
      return;
    }
    const name = names.workerName(view.key);
    if (!now) {
      void this.leanedEnough(view.name).catch((error: unknown) => this.trouble(error));
      return this.sawGone(name, view);
    }
    const over = this.isOver(view.key);
    let worker = this.workers.get(name);
    if (!worker && over) {
      // recorded, but not let go of by whoever recorded it
      if (view.state.kind !== "running" && this.users > 0) void this.writer.letGo(view).catch((error: unknown) => this.trouble(error));
      if (view.state.kind !== "running") return;
    }
    this.fences.raise(view.key, false);
    worker ??= this.adopt(new Worker(this.host, view.key, view.node, view.name));
    worker.see(view);
    if (view.state.kind === "running") worker.ranIn ??= this.nodes.bootOf(view.node) ?? view.boot;
    if (!worker.alive) this.ended(worker);
    if (worker.end && worker.alive) this.follower.follow(worker);
    if (view.gated) this.gangs.consider(view.key);
    this.judge(worker, Date.now());
  }

  /** A pod that is gone before its end was told: removed by force, its finalizer too. */
  private sawGone(name: string, last: PodView): void {
    const worker = this.workers.get(name);
    if (!worker || worker.pod?.uid !== last.uid || !worker.alive || worker.end) return;
    if (!last.bound) return worker.lose("never started: its pod was removed");
    worker.missingSince = Date.now();
  }

  private sawSealed(key: AttemptKey): void {
    for (const worker of this.ofAttempt(key)) this.stopper.sawCommit(worker);
  }

  private ended(worker: Worker): void {
    this.follower.drop(worker);
    // what waited for its end may go ahead
    for (const other of this.byJob.get(worker.key.job) ?? []) if (other.pod?.gated) this.gangs.consider(other.key);
  }

  private sawNodes(): void {
    const now = Date.now();
    for (const worker of this.workers.values()) if (worker.alive && worker.pod?.bound) this.judge(worker, now);
  }

  private sawEvent(object: KubeObject): undefined {
    const { involvedObject, reason, message } = object as unknown as { involvedObject?: { name?: string; uid?: string }; reason?: string; message?: string };
    const worker = this.byName.get(involvedObject?.name ?? "");
    const at = timeOf(object["lastTimestamp"] ?? object["eventTime"] ?? object.metadata["creationTimestamp"]);
    // what an earlier engine has told is not told again
    if (worker && reason !== undefined && at >= this.bornAt - EVENT_AGE_MS) worker.say(reason, `${reason}: ${message ?? ""}`);
  }

  private async releaseOne(worker: Worker): Promise<void> {
    try {
      this.pods.put(await this.writer.release(worker.pod as PodView));
    } catch (error) {
      // changed or gone meanwhile, or not reached: the next look decides anew
      if (!(error instanceof KubeError && (error.status === 404 || error.status === 409))) this.trouble(error);
    }
  }

  private judge(worker: Worker, now: number): void {
    if (this.users === 0 || this.pods.age() > STALE_MS) return;
    const node = this.nodes.get(worker.node);
    if (worker.pod?.bound && !worker.end && isOfEarlierBoot(worker, node)) worker.missingSince ??= now;
    const verdict = judge(worker, node, this.config, now);
    if (verdict?.kind === "over") this.confirm(worker, verdict.reason);
    else if (verdict) this.giveUp(worker, verdict.reason);
  }

  private confirm(worker: Worker, reason: string): void {
    worker.lose(reason);
    this.ended(worker);
  }

  private giveUp(worker: Worker, reason: string): void {
    worker.givenUp = reason;
    this.logger.info({ shard: this.shard, pod: worker.podName, reason }, "a worker is given up");
    void this.writer.remove(worker.pod as PodView, worker.pod?.bound ? 1 : 0).catch((error: unknown) => {
      worker.givenUp = undefined;
      this.trouble(error);
    });
  }

  private tick(): void {
    const now = Date.now();
    for (const worker of this.workers.values()) {
      if (!worker.alive) continue;
      worker.tick(now);
      if (worker.state === "starting" || worker.missingSince !== undefined) this.judge(worker, now);
      if (this.users > 0) this.stopper.tick(worker, now);
    }
    this.gangs.tick();
    if (this.users > 0) this.sealer.tick(now);
    if (this.users > 0 && now - this.lookedAt >= LOOK_MS) {
      this.lookedAt = now;
      void this.delegates.look().catch((error: unknown) => this.trouble(error));
    }
    if (this.users === 0 || now - this.sweptAt < SWEEP_MS) return;
    this.sweptAt = now;
    void this.writer.sweep(new Set(this.filesOf.values()), now - SWEEP_MS).catch((error: unknown) => this.trouble(error));
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
