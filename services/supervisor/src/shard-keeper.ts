import { setTimeout as delay } from "node:timers/promises";
import { Dead, Gone, Unreachable, type Engine } from "@muster/engine";
import type { LogStore } from "@muster/logs";
import {
  appendEvents,
  hasOldWorkers,
  checkLease,
  isConnectionError,
  LeaseLost,
  observationsAtOnce,
  recordBeat,
  recordDeath,
  setShardReachable,
  transaction,
  type Lease,
  type Pool,
  type ShardRow,
  type Waker,
} from "@muster/store";
import type { Logger } from "pino";
import { adopt, forgetEnded } from "./adoption.ts";
import { dispatchCommands, sealCommits, type DispatchContext } from "./dispatch.ts";
import type { Backoff } from "./judge.ts";
import { keepLogs } from "./keep-logs.ts";
import { recordObservations } from "./observe.ts";
import type { OwnClock } from "./own-clock.ts";
import { noticeOlder } from "./restored.ts";
import { Signal } from "./signal.ts";

/** Milliseconds between looks that nothing asked for. */
const POLL = 1000;
const COMPARE_EVERY = 30_000;
/** So often in a row nothing could be started where a shard's agent had died until the shard counts as gone. */
const STARTS_TRIED = 2;
const LONGEST_PAUSE = 5000;

/** How the supervisor gets at the shards of one kind of engine. */
export interface EngineProvider {
  /** Also brings back what keeps the shard, where it died: a dead agent is started again over its journal. */
  connect(shard: ShardRow): Promise<Engine>;
  /** Called when the store has nodes that the engine doesn't know yet. */
  refresh?(shard: ShardRow): Promise<void>;
}

export interface KeeperOptions {
  pool: Pool;
  logs: LogStore;
  waker: Waker;
  logger: Logger;
  provider: EngineProvider;
  shard: ShardRow;
  holder: string;
  apiUrl: string;
  /** Wakes the scheduler when a back-off is over. */
  onBackoff(backoff: Backoff): void;
  /** Told when the shard is known to be gone. */
  onDeath(): void;
  /** Milliseconds without an answer after which a shard counts as unreachable (not as failed), and between signs of life. */
  unreachableAfter: number;
  beatEvery: number;
  clock: OwnClock;
}

/** Keeps one shard for as long as this supervisor owns it: adopts, observes, sends commands, keeps logs. */
export class ShardKeeper {
  readonly #options: KeeperOptions;
  readonly #abort = new AbortController();
  readonly #wake = new Signal();
  readonly #output = new Signal();
  #lease: Lease;
  #nodes = new Set<string>();
  #welcoming = false;
  /** When the shard last answered, by the supervisor's own clock. */
  #heard: number;
  #done: Promise<void>;

  constructor(options: KeeperOptions, lease: Lease) {
    this.#options = options;
    this.#lease = lease;
    this.#heard = options.clock.now();
    this.#done = this.#run();
  }

  renew(lease: Lease): void {
    this.#lease = lease;
  }

  wake(): void {
    this.#wake.set();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  get lost(): boolean {
    return this.#abort.signal.aborted;
  }

  async #run(): Promise<void> {
    const { logger, provider, shard } = this.#options;
    // only what this keeper has seen alive can be seen to die: that nothing can be started at all is trouble of our own
    let wasThere = false;
    let deaths = 0;
    while (!this.#abort.signal.aborted) {
      let engine: Engine | undefined;
      try {
        engine = await provider.connect(shard);
        wasThere = true;
        deaths = 0;
        await this.#keep(engine);
      } catch (error) {
        if (this.#abort.signal.aborted) break;
        if (error instanceof LeaseLost) {
          this.#abort.abort();
        } else if (error instanceof Unreachable) {
          logger.warn({ shard: shard.name, error: error.message }, "shard does not answer");
          if (error instanceof Dead && ++deaths === STARTS_TRIED && wasThere) await this.#gone().catch(() => (deaths = 0));
          if (this.#options.clock.now() - this.#heard > this.#options.unreachableAfter) await this.#report(false).catch(() => {});
        } else if (!(error instanceof Gone)) {
          logger.error({ shard: shard.name, err: error }, isConnectionError(error) ? "database does not answer" : "keeping a shard failed; starting over");
        }
        const pause = deaths >= STARTS_TRIED ? Math.min(LONGEST_PAUSE, 250 * 2 ** (deaths - STARTS_TRIED)) : 100;
        await delay(error instanceof Unreachable || error instanceof Gone ? pause : 500, undefined, { signal: this.#abort.signal }).catch(() => {});
      } finally {
        await engine?.close().catch(() => {});
      }
    }
  }

  async #gone(): Promise<void> {
    const { pool, shard, holder, logger } = this.#options;
    logger.error({ shard: shard.name }, "the shard's agent died, and none can be started in its place");
    await transaction(pool, async (client) => {
      await checkLease(client, this.#lease, holder);
      await recordDeath(client, shard.name);
    });
    this.#options.onDeath();
  }

  async #report(reachable: boolean): Promise<void> {
    const { pool, shard, waker } = this.#options;
    const changed = await transaction(pool, async (client) => {
      const nodes = await setShardReachable(client, shard.name, reachable);
      const kind = reachable ? "reachable" : "unreachable";
      if (nodes.length > 0)
        await appendEvents(client, [
          { kind: `shard.${kind}`, actor: "supervisor", data: { shard: shard.name } },
          ...nodes.map((node) => ({ kind: `node.${kind}`, actor: "supervisor", node: node.name, pool: node.pool })),
        ]);
      return nodes.length > 0;
    });
    if (changed) waker.wake();
  }

  /** Says that the shard is back only when nothing old lives there: until then nothing new may count on its being dead. */
  async #welcome(signal: AbortSignal): Promise<void> {
    const { pool, shard } = this.#options;
    this.#welcoming = true;
    try {
      while (!signal.aborted && (await hasOldWorkers(pool, shard.name))) await delay(50, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await this.#report(true);
    } finally {
      this.#welcoming = false;
    }
  }

  /** Signs of life, by which the silence of a shard is told from its having nothing to say. */
  async #beat(engine: Engine, signal: AbortSignal): Promise<void> {
    const { pool, shard, beatEvery } = this.#options;
    while (!signal.aborted) {
      await this.#ping(engine);
      this.#heard = this.#options.clock.now();
      const held = await recordBeat(pool, shard.name);
      // it was silent for less than a connection takes to break; what fails here is tried again at the next sign of life
      if (held && !this.#welcoming) void this.#welcome(signal).catch(() => {});
      await delay(beatEvery, undefined, { signal }).catch(() => {});
    }
  }

  /** An answer may have come while this process stood still, and its time be over before it is read: then it is asked for again. */
  async #ping(engine: Engine): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const { stood } = clock;
      try {
        return await engine.ping();
      } catch (error) {
        if (clock.stood === stood) throw error;
      }
    }
  }

  /** Works until the connection ends, the lease is lost or the supervisor closes. */
  async #keep(engine: Engine): Promise<void> {
    const { pool, shard } = this.#options;
    const cursor = await readCursor(pool, shard.name);
    const probe = await adopt({ ...this.#context(engine), followed: true });
    const followed = cursor.epoch === probe.epoch;
    if (!followed) await adopt({ ...this.#context(engine), followed: false });
    const inner = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, inner.signal]);
    this.#nodes = new Set(probe.nodes.map((node) => node.node));
    const seen = { epoch: probe.epoch, seq: followed ? cursor.seq : probe.seq };
    const welcomed = this.#welcome(signal);
    const loops = [
      this.#observe(engine, seen, signal),
      this.#command(engine, signal),
      this.#keepLogs(engine, signal),
      this.#compare(engine, signal),
      this.#beat(engine, signal),
      welcomed.then(() => aborted(signal)),
    ];
    try {
      await Promise.race(loops);
    } finally {
      inner.abort();
      // what waits for an answer that won't come must not hold up the next try
      await engine.close().catch(() => {});
      await Promise.allSettled(loops);
    }
  }

  #context(engine: Engine): DispatchContext {
    const { pool, holder, apiUrl } = this.#options;
    return { pool, engine, lease: this.#lease, holder, apiUrl, knowNodes: (nodes) => this.#knowNodes(nodes) };
  }

  async #knowNodes(nodes: readonly string[]): Promise<void> {
    if (nodes.every((node) => this.#nodes.has(node))) return;
    await this.#options.provider.refresh?.(this.#options.shard);
    for (const node of nodes) this.#nodes.add(node);
  }

  async #observe(engine: Engine, from: { epoch: string; seq: number }, signal: AbortSignal): Promise<void> {
    const { pool, shard, holder, waker, logger } = this.#options;
    for await (const observations of engine.observe(from.epoch, from.seq, signal)) {
      this.#heard = this.#options.clock.now();
      const restored = await noticeOlder(pool, shard.name, observations);
      for (let at = 0; at < observations.length; ) {
        const some = observations.slice(at, at + observationsAtOnce(observations.length - at));
        at += some.length;
        const recorded = await recordObservations(pool, { shard: shard.name, epoch: from.epoch, observations: some, lease: this.#lease, holder });
        for (const backoff of recorded.backoffs) this.#options.onBackoff(backoff);
        if (recorded.changed) {
          waker.wake();
          this.#wake.set();
        }
        this.#output.set();
      }
      if (restored) {
        logger.error({ shard: shard.name }, "the engine knows more than the database: it was restored from a backup");
        throw new Gone("the store is older than the engine");
      }
    }
    if (!signal.aborted) throw new Unreachable("the stream of observations ended");
  }

  async #command(engine: Engine, signal: AbortSignal): Promise<void> {
    const sealing = new Set<number>();
    while (!signal.aborted) {
      const { more } = await dispatchCommands(this.#context(engine));
      await sealCommits(this.#context(engine), sealing);
      if (!more) await this.#wake.wait(POLL, signal);
    }
  }

  async #keepLogs(engine: Engine, signal: AbortSignal): Promise<void> {
    const { pool, logs } = this.#options;
    let forgotten = performance.now();
    while (!signal.aborted) {
      const { more } = await keepLogs(pool, engine, logs);
      if (performance.now() - forgotten > POLL) {
        await forgetEnded({ pool, engine }, await engine.snapshot());
        forgotten = performance.now();
      }
      if (!more) {
        await this.#output.wait(POLL, signal);
        // a burst of small outputs goes into one round
        await delay(100, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #compare(engine: Engine, signal: AbortSignal): Promise<void> {
    let compared = performance.now();
    while (!signal.aborted) {
      await delay(POLL, undefined, { signal }).catch(() => {});
      if (signal.aborted || (performance.now() - compared < COMPARE_EVERY && !(await this.#startsPaused()))) continue;
      await adopt({ ...this.#context(engine), followed: true });
      compared = performance.now();
    }
  }

  async #startsPaused(): Promise<boolean> {
    const { rows } = await this.#options.pool.query<{ starts_paused: boolean }>({ name: "starts-paused", text: "SELECT starts_paused FROM cluster" });
    return rows[0]?.starts_paused ?? false;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function readCursor(pool: Pool, shard: string): Promise<{ epoch: string; seq: number }> {
  const { rows } = await pool.query<{ epoch: string; seq: number }>({
    name: "read-shard-cursor",
    text: "SELECT epoch, seq FROM shards WHERE name = $1",
    values: [shard],
  });
  return rows[0] ?? { epoch: "", seq: 0 };
}
