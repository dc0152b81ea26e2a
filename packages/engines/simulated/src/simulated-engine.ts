import {
  compareFence,
  Gone,
  Unreachable,
  type AttemptKey,
  type Engine,
  type LogChunk,
  type Observation,
  type RefusalCode,
  type SealCheckpoint,
  type ShardSnapshot,
  type WorkerKey,
  type WorkerStart,
  type WorkerStop,
} from "@muster/engine";
import type { Act, Outcome } from "./script.ts";
import { VirtualWorker, type WorkerHost } from "./virtual-worker.ts";
import type { Clock } from "./virtual-clock.ts";

/*
 * An engine whose workers are scripts on an injected clock. It keeps the same fences and the same idempotence as engines
 * with real workers, and can be told to misbehave: to be unreachable, to lose its agent or a node, to be slow at killing.
 */

export interface SimulatedOptions {
  shard: string;
  nodes: string[];
  clock: Clock;
  outcome: Outcome;
  /** Milliseconds from a kill to the death of all that a worker is; none by default. */
  killTakes?: () => number;
}

type News = Observation extends infer O ? (O extends Observation ? Omit<O, "seq" | "at"> : never) : never;

interface Fence {
  incarnation: string;
  attempt: number;
  closed: boolean;
}

export class SimulatedEngine implements Engine {
  readonly shard: string;
  private readonly clock: Clock;
  private readonly outcome: Outcome;
  private readonly boots = new Map<string, number>();
  private readonly workers = new Map<string, VirtualWorker>();
  private readonly byJob = new Map<string, Set<VirtualWorker>>();
  private readonly fences = new Map<string, Fence>();
  private readonly sealedPaths = new Map<string, string>();
  private entries: Observation[] = [];
  private readonly waking = new Set<() => void>();
  private seq = 0;
  private incarnation = "0";
  private reachable = true;
  /** What workers that outlive their agent have written, for the next agent to find. */
  private unseen: News[] | undefined;
  private closed = false;
  private readonly host: WorkerHost;

  constructor({ shard, nodes, clock, outcome, killTakes = () => 0 }: SimulatedOptions) {
    this.shard = shard;
    this.clock = clock;
    this.outcome = outcome;
    for (const node of nodes) this.boots.set(node, 1);
    this.host = { clock, killTakes, observe: (news) => this.hear(news) };
  }

  async ping(): Promise<void> {
    this.reach();
  }

  async snapshot(): Promise<ShardSnapshot> {
    this.reach();
    return {
      epoch: "simulated",
      seq: this.seq,
      workers: [...this.workers.values()].flatMap((worker) => worker.status() ?? []),
      nodes: [...this.boots].map(([node, boot]) => ({ node, bootId: `${node}-${boot}` })),
      incarnation: this.incarnation,
    };
  }

  async *observe(epoch: string, after: number, signal: AbortSignal): AsyncIterable<Observation[]> {
    this.reach();
    if (epoch !== "simulated" || after > this.seq) throw new Gone(`shard ${this.shard} has no such observations`);
    const state = { wake: (): void => {} };
    const wake = (): void => state.wake();
    this.waking.add(wake);
    signal.addEventListener("abort", wake);
    try {
      for (let cursor = after; !signal.aborted && !this.closed; ) {
        this.reach();
        const last = cursor;
        const batch = this.entries.slice(this.entries.findLastIndex(({ seq }) => seq <= last) + 1);
        cursor = this.seq;
        if (batch.length > 0) yield batch;
        else {
          await new Promise<void>((resolve) => {
            state.wake = resolve;
          });
        }
      }
    } finally {
      this.waking.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }

  async start(starts: WorkerStart[]): Promise<void> {
    this.reach();
    for (const start of starts) this.startOne(start);
  }

  async stop(stops: WorkerStop[]): Promise<void> {
    this.reach();
    for (const stop of stops) {
      const worker = this.workers.get(nameOf(stop));
      if (worker) worker.stop(stop.mode, stop.grace);
      else {
        const fence = this.fences.get(stop.job);
        if (!fence || compareFence(stop, fence) > 0 || (compareFence(stop, fence) === 0 && !fence.closed)) {
          this.raise(stop, false);
          this.add(new VirtualWorker(this.host, keyOf(stop), undefined, undefined));
        }
        this.note({ kind: "lost", reason: "never started", ...keyOf(stop) });
      }
    }
  }

  async checkpointNow(attempts: AttemptKey[]): Promise<void> {
    this.reach();
    for (const key of attempts) for (const worker of this.ofAttempt(key)) worker.askCheckpoint();
  }

  async seal(commits: SealCheckpoint[]): Promise<void> {
    this.reach();
    for (const { step, name, path, keep, ...key } of commits) {
      const attempt = attemptOf(key);
      const fence = this.fences.get(key.job);
      const committed = `/simulated/${key.job}/committed/`;
      if (fence && compareFence(key, fence) < 0) this.note({ kind: "seal_failed", step, name, reason: "an older attempt", ...attempt });
      else if (!path.startsWith(`/simulated/${key.job}/attempt-${key.incarnation}-${key.attempt}/`))
        this.note({ kind: "seal_failed", step, name, reason: `${path} is not below the attempt's checkpoint directory`, ...attempt });
      else {
        this.sealedPaths.set(committed + name, path);
        for (const one of this.sealedPaths.keys())
          if (one.startsWith(committed) && one !== committed + name && !keep.includes(one.slice(committed.length))) this.sealedPaths.delete(one);
        this.note({ kind: "sealed", step, name, path: committed + name, ...attempt });
        for (const worker of this.ofAttempt(attempt)) worker.sawCommit();
      }
    }
  }

  async forget(attempts: AttemptKey[]): Promise<void> {
    this.reach();
    const dropped = new Set<string>();
    for (const key of attempts) {
      const workers = this.ofAttempt(key);
      if (workers.some((worker) => worker.alive)) continue;
      for (const worker of workers) this.remove(worker);
      const fence = this.fences.get(key.job);
      if (!fence || compareFence(key, fence) >= 0) this.raise(key, true);
      dropped.add(attemptName(key));
    }
    this.entries = this.entries.filter((one) => one.kind === "node" || one.kind === "noticed" || one.kind === "newer_known" || !dropped.has(attemptName(one)));
  }

  async readLog(key: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    this.reach();
    const worker = this.workers.get(nameOf(key));
    const whole = new TextEncoder().encode(worker?.output ?? "");
    const data = whole.subarray(offset, offset + limit);
    return { offset, next: offset + data.length, end: !worker?.alive && offset + data.length >= whole.length, data };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.wake();
  }

  /** While false, every method rejects with `Unreachable`; workers go on. */
  setReachable(reachable: boolean): void {
    this.reachable = reachable;
    this.wake();
  }

  /** The agent dies: workers go on, and nobody sees how they end. */
  loseAgent(): void {
    this.unseen ??= [];
    this.wake();
  }

  /** A new agent over the same journal: what lives is adopted, what ended meanwhile is lost, what was written meanwhile is read. */
  restartAgent(): void {
    const { unseen = [] } = this;
    this.unseen = undefined;
    for (const news of unseen) this.note(news);
    this.wake();
  }

  get hasAgent(): boolean {
    return this.unseen === undefined;
  }

  /** Workers that are alive, whoever can see them. */
  living(): { key: WorkerKey; node: string }[] {
    return [...this.workers.values()].filter((worker) => worker.alive);
  }

  isAlive(key: WorkerKey): boolean {
    return this.workers.get(nameOf(key))?.alive ?? false;
  }

  /** Has a worker do something beside its script; one that isn't up, or hangs, doesn't. */
  tell(key: WorkerKey, act: Act): void {
    this.workers.get(nameOf(key))?.play(act);
  }

  /** Ends workers that match, as by a signal from outside. */
  kill(matches: (key: WorkerKey, node: string) => boolean, signal = "SIGKILL"): number {
    const hit = [...this.workers.values()].filter((worker) => worker.alive && matches(worker.key, worker.node));
    for (const worker of hit) worker.end({ exitCode: null, signal });
    return hit.length;
  }

  /** The node comes back with another boot id; nothing of what ran there is left, and how it ended nobody saw. */
  reboot(node: string): void {
    const boot = (this.boots.get(node) ?? 0) + 1;
    this.boots.set(node, boot);
    for (const worker of this.workers.values()) if (worker.alive && worker.node === node) worker.lose("its node was started anew");
    this.note({ kind: "node", node, bootId: `${node}-${boot}`, health: "ready" });
  }

  /** A worker of the attempt stops answering: it neither makes progress nor ends, until it is killed. */
  hang(key: WorkerKey): void {
    this.workers.get(nameOf(key))?.hang();
  }

  private startOne(start: WorkerStart): void {
    const key = keyOf(start);
    const known = this.workers.get(nameOf(start));
    if (known?.neverStarted) return this.refuse(key, "stale", "it was stopped before it was started");
    if (known) return;
    const fence = this.fences.get(start.job);
    const newer: News = { kind: "newer_known", job: start.job, incarnation: fence?.incarnation ?? this.incarnation, attempt: fence?.attempt ?? 0 };
    if (BigInt(start.incarnation) < BigInt(this.incarnation)) {
      this.refuse(key, "newer_known", `incarnation ${this.incarnation} is known`);
      return this.note(newer);
    }
    const order = fence ? compareFence(start, fence) : 1;
    if (order < 0) {
      this.refuse(key, "stale", "an older attempt");
      return this.note(newer);
    }
    if (order === 0 && fence?.closed) return this.refuse(key, "stale", "the attempt has ended and is recorded");
    if (!this.boots.has(start.node)) return this.refuse(key, "no_such_node", `no node ${start.node}`);
    for (const older of this.byJob.get(start.job) ?? []) if (older.alive && compareFence(older.key, start) < 0) older.stop("kill", 0);
    this.raise(start, false);
    const worker = new VirtualWorker(this.host, key, start, this.outcome(start));
    this.add(worker);
    worker.begin();
  }

  private refuse(key: WorkerKey, code: RefusalCode, reason: string): void {
    this.note({ kind: "refused", code, reason, ...key });
  }

  private raise(key: AttemptKey, closed: boolean): void {
    const fence = this.fences.get(key.job);
    if (fence && compareFence(key, fence) === 0 && fence.closed) return;
    this.fences.set(key.job, { incarnation: key.incarnation, attempt: key.attempt, closed });
    if (BigInt(key.incarnation) > BigInt(this.incarnation)) this.incarnation = key.incarnation;
  }

  private ofAttempt(key: AttemptKey): VirtualWorker[] {
    return [...(this.byJob.get(key.job) ?? [])].filter((worker) => compareFence(worker.key, key) === 0);
  }

  private add(worker: VirtualWorker): void {
    this.workers.set(nameOf(worker.key), worker);
    const ofJob = this.byJob.get(worker.key.job);
    if (ofJob) ofJob.add(worker);
    else this.byJob.set(worker.key.job, new Set([worker]));
  }

  private remove(worker: VirtualWorker): void {
    this.workers.delete(nameOf(worker.key));
    const ofJob = this.byJob.get(worker.key.job);
    if (ofJob?.delete(worker) && ofJob.size === 0) this.byJob.delete(worker.key.job);
  }

  /** Of what happens without an agent, ends are found out later, and what is in files is read then; all else is gone. */
  private hear(news: News): void {
    if (!this.unseen) return this.note(news);
    if (news.kind === "exited") {
      const key = keyOf(news);
      this.workers.get(nameOf(key))?.forgetEnd();
      this.unseen.push({ kind: "lost", reason: "it ended while its agent was away", ...key });
    } else if (news.kind !== "progress") this.unseen.push(news);
  }

  private note(news: News): void {
    this.entries.push({ seq: ++this.seq, at: new Date(this.clock.now()).toISOString(), ...news });
    this.wake();
  }

  private wake(): void {
    for (const wake of this.waking) wake();
  }

  private reach(): void {
    if (!this.reachable || this.closed || this.unseen) throw new Unreachable(`shard ${this.shard} can't be reached`);
  }
}

function attemptName(key: AttemptKey): string {
  return `${key.job}.${key.incarnation}-${key.attempt}`;
}

function nameOf(key: WorkerKey): string {
  return `${attemptName(key)}.${key.worker}`;
}

function attemptOf({ job, incarnation, attempt }: AttemptKey): AttemptKey {
  return { job, incarnation, attempt };
}

function keyOf(key: WorkerKey): WorkerKey {
  return { ...attemptOf(key), worker: key.worker };
}
