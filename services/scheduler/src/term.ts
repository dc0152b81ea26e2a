import { setTimeout as delay } from "node:timers/promises";
import { DEFAULT_PRIORITIES } from "@muster/model";
import { createEngine, recorded } from "@muster/placement";
import { readClock, readCluster, Waker, type ClusterRow, type Lease, type Pool, type Seen } from "@muster/store";
import type { Logger } from "pino";
import { DecisionWriter } from "./decisions.ts";
import { applyChanges, Changes, follow, load } from "./follow.ts";
import { LivePolicy } from "./live-policy.ts";
import type { SchedulerMetrics } from "./metrics.ts";
import { Mirror } from "./mirror.ts";
import { ReasonWriter } from "./reasons.ts";
import { Recorder, type RecordingOptions } from "./recording/recorder.ts";

/** Events are read this often even if nobody woke us; milliseconds. */
const POLL = 1000;
/** Milliseconds that go into estimated starts at a time, and between two such times; a pass over 100,000 waiting jobs takes some 40 of them. */
const ESTIMATES_SLICE = 20;
const ESTIMATES_EVERY = 500;
/** Between two of them while there always is something to decide: a pass then takes some 40 s. */
const ESTIMATES_AT_LATEST = 1000;
/** Least time between two loads of everything because the database refused a start. */
const RELOAD_AFTER = 30_000;

export interface TermOptions {
  pool: Pool;
  lease: Lease;
  holder: string;
  logger: Logger;
  metrics: SchedulerMetrics;
  waker: Waker;
  signal: AbortSignal;
  /** Where what is decided is recorded; absent: nowhere. */
  recordings?: RecordingOptions | undefined;
}

export interface TermState {
  loadedAt: string;
  cycle_ms: number;
  lag_ms: number;
  cycles: number;
  jobs: number;
  waiting: number;
  nodes: number;
  starts_paused: boolean;
}

/** One leadership: everything is read once, then followed. It ends with an error, or when the signal says so. */
export class Term {
  readonly mirror: Mirror;
  readonly #options: TermOptions;
  readonly #writer: DecisionWriter;
  readonly #reasons: ReasonWriter;
  readonly #policy: LivePolicy;
  readonly #recorder: Recorder | undefined;
  #changes = new Changes();
  #seen: Seen | undefined;
  #cluster: ClusterRow | undefined;
  /** Only a new term can do what the settings say now. */
  #outdated = false;
  /** The database's clock less ours. */
  #clockOffset = 0;
  #clockRead = 0;
  #latest = 0;
  #wakeAt: number | null = null;
  #woken = false;
  #wake: (() => void) | undefined;
  #loadedAt = 0;
  #cycleMs = 0;
  #lagMs = 0;
  #cycles = 0;
  #estimatedAt = Number.NEGATIVE_INFINITY;
  #closed: Promise<void> = Promise.resolve();

  constructor(options: TermOptions) {
    this.#options = options;
    const now = (): number => this.now();
    this.#recorder = options.recordings && new Recorder(options.recordings, options.lease.epoch, options.logger);
    const engine = createEngine();
    this.mirror = new Mirror(now, this.#recorder ? recorded(engine, this.#recorder) : engine);
    const shared = { pool: options.pool, lease: options.lease, holder: options.holder, mirror: this.mirror, logger: options.logger, now };
    this.#writer = new DecisionWriter(shared);
    this.#reasons = new ReasonWriter(shared);
    this.#policy = new LivePolicy(this.mirror.engine, options.logger);
  }

  /** Whether a setting was taken back: the next term begins at once, with the default. */
  get isOutdated(): boolean {
    return this.#outdated;
  }

  /** Whether it ended only so that the next recording begins with everything read anew. */
  get isRecordingFull(): boolean {
    return this.#recorder?.due ?? false;
  }

  get loaded(): boolean {
    return this.#loadedAt > 0;
  }

  /** Why nothing is started at the moment; null: starts go on. */
  get pausedFor(): string | null {
    return this.#cluster?.starts_paused ? (this.#cluster.starts_paused_reason ?? "somebody asked for it") : null;
  }

  state(): TermState {
    const { jobs, nodes } = this.mirror;
    let waiting = 0;
    for (const job of jobs.values()) if (job.running === null) waiting++;
    return {
      loadedAt: new Date(this.#loadedAt).toISOString(),
      cycle_ms: this.#cycleMs,
      lag_ms: this.#lagMs,
      cycles: this.#cycles,
      jobs: jobs.size,
      waiting,
      nodes: nodes.size,
      starts_paused: this.pausedFor !== null,
    };
  }

  /** The database's clock in milliseconds since the epoch; never goes back. */
  now(): number {
    this.#latest = Math.max(this.#latest, Date.now() + this.#clockOffset);
    return this.#latest;
  }

  /** What a priority class means in this cluster. */
  priorityOf(name: string): number {
    const own = this.#cluster?.settings["priorities"];
    const defined = typeof own === "object" && own !== null ? (own as Record<string, unknown>)[name] : undefined;
    return typeof defined === "number" ? defined : (DEFAULT_PRIORITIES[name] ?? 0);
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  async run(): Promise<void> {
    try {
      await this.#lead();
    } finally {
      // compressed while the next term goes on
      this.#closed = this.#recorder?.close() ?? this.#closed;
    }
  }

  /** Resolves once everything that was recorded is on disk. */
  async recordingClosed(): Promise<void> {
    await this.#closed;
  }

  async #lead(): Promise<void> {
    const { signal, pool, logger } = this.#options;
    await this.#readCluster();
    const began = performance.now();
    this.#seen = await load(pool, this.mirror);
    this.#recorder?.loaded();
    this.#loadedAt = this.now();
    logger.info({ jobs: this.mirror.jobs.size, nodes: this.mirror.nodes.size, ms: Math.round(performance.now() - began) }, "leading: state loaded");
    while (!signal.aborted && !this.#outdated && !this.isRecordingFull) {
      this.#woken = false;
      const again = await this.#step();
      if (!again && !signal.aborted) await this.#sleep();
    }
  }

  /** @returns whether there is more to do at once */
  async #step(): Promise<boolean> {
    const { pool, metrics, waker } = this.#options;
    if (Date.now() - this.#clockRead > POLL) await this.#readCluster();
    const followed = await follow(pool, this.mirror, this.#seen as Seen, this.#changes);
    this.#seen = followed.seen;
    this.#lagMs = followed.newest ? Math.max(0, this.now() - followed.newest.getTime()) : 0;
    metrics.lag.set(this.#lagMs / 1000);
    const changes = this.#changes;
    this.#changes = new Changes();
    await applyChanges(pool, this.mirror, changes);
    if (followed.more) return true;
    if (this.#cluster?.starts_paused) return false;
    const began = performance.now();
    const result = this.mirror.engine.cycle(this.now());
    this.#cycleMs = performance.now() - began;
    this.#cycles++;
    this.#wakeAt = result.wakeAt;
    metrics.cycle.observe(this.#cycleMs / 1000);
    const committed = await this.#writer.commit(result, this.#changes);
    metrics.decisions.inc({ kind: "start" }, committed.starts);
    metrics.decisions.inc({ kind: "stop" }, committed.stops);
    metrics.decisions.inc({ kind: "dropped" }, committed.dropped);
    metrics.workers.inc(committed.workers);
    if (committed.starts + committed.stops > 0) waker.wake();
    if (committed.refused > 0 && this.now() - this.#loadedAt > RELOAD_AFTER)
      throw new Error("what is in memory differs from what is stored; reading everything again");
    await this.#reasons.write();
    // best while there is nothing else to do, and seldom enough that hardly a decision waits for it
    const idle = this.#changes.empty && !this.#woken;
    if (performance.now() - this.#estimatedAt > (idle ? ESTIMATES_EVERY : ESTIMATES_AT_LATEST)) {
      this.mirror.engine.estimates(this.now(), ESTIMATES_SLICE, () => performance.now());
      this.#estimatedAt = performance.now();
    }
    return !this.#changes.empty;
  }

  async #readCluster(): Promise<void> {
    const before = Date.now();
    const now = await readClock(this.#options.pool);
    this.#clockOffset = now - (before + Date.now()) / 2;
    this.#clockRead = Date.now();
    this.#cluster = await readCluster(this.#options.pool);
    this.#outdated = !this.#policy.apply(this.#cluster.settings["placement"]);
  }

  async #sleep(): Promise<void> {
    if (this.#woken) return;
    const due = Math.min(POLL, this.#reasons.dueIn(), this.#wakeAt === null ? POLL : Math.max(1, this.#wakeAt - this.now()));
    const ended = new AbortController();
    const end = (): void => ended.abort();
    this.#wake = end;
    this.#options.signal.addEventListener("abort", end, { once: true });
    await delay(due, undefined, { signal: ended.signal }).catch(() => {});
    this.#options.signal.removeEventListener("abort", end);
    this.#wake = undefined;
  }
}
