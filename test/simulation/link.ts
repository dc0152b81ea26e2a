import {
  Unreachable,
  type AttemptKey,
  type Engine,
  type LogChunk,
  type Observation,
  type SealCheckpoint,
  type ShardSnapshot,
  type WorkerKey,
  type WorkerStart,
  type WorkerStop,
} from "@muster/engine";
import type { SimulatedEngine } from "@muster/engine-simulated";
import type { Process, World } from "./world.ts";

/** Milliseconds after which a caller gives up on a shard that does not answer. */
const TIMEOUT = 2000;

/** What lies between the control plane and one shard, and what it does to messages. */
export class Line {
  /** Nothing gets through. */
  isCut = false;
  /** Milliseconds that a message takes at most; each is drawn. */
  slowness = 0;
  /** How often a message arrives twice, or its answer is lost. */
  doubles = 0;
  losses = 0;
}

/** One connection of a supervisor to a shard's engine, over a line that delays, doubles, loses and cuts. */
export class Link implements Engine {
  readonly shard: string;
  readonly #world: World;
  readonly #process: Process;
  readonly #engine: SimulatedEngine;
  readonly #line: Line;
  readonly #closed = new AbortController();

  constructor(world: World, process: Process, engine: SimulatedEngine, line: Line) {
    this.shard = engine.shard;
    this.#world = world;
    this.#process = process;
    this.#engine = engine;
    this.#line = line;
    process.onEnd(() => this.#closed.abort());
  }

  ping(): Promise<void> {
    return this.#call("ping", () => this.#engine.ping());
  }

  snapshot(): Promise<ShardSnapshot> {
    return this.#call("snapshot", () => this.#engine.snapshot());
  }

  start(workers: WorkerStart[]): Promise<void> {
    return this.#call("start", () => this.#engine.start(workers));
  }

  stop(workers: WorkerStop[]): Promise<void> {
    return this.#call("stop", () => this.#engine.stop(workers));
  }

  checkpointNow(attempts: AttemptKey[]): Promise<void> {
    return this.#call("checkpoint-now", () => this.#engine.checkpointNow(attempts));
  }

  seal(commits: SealCheckpoint[]): Promise<void> {
    return this.#call("seal", () => this.#engine.seal(commits));
  }

  forget(attempts: AttemptKey[]): Promise<void> {
    return this.#call("forget", () => this.#engine.forget(attempts));
  }

  readLog(worker: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    return this.#call("read-log", () => this.#engine.readLog(worker, offset, limit));
  }

  async *observe(epoch: string, after: number, signal: AbortSignal): AsyncIterable<Observation[]> {
    await this.#call("observe", async () => {});
    const ended = AbortSignal.any([signal, this.#closed.signal]);
    for await (const batch of this.#engine.observe(epoch, after, ended)) {
      // a cut line says nothing: who listens to it finds out by asking
      while (this.#line.isCut && !ended.aborted) await this.#sleep(500);
      if (this.#line.slowness > 0) await this.#sleep(this.#world.random() * this.#line.slowness);
      if (ended.aborted) return;
      yield batch;
      if (this.#world.random() < this.#line.doubles) yield batch;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
  }

  /** The call is a step of its process; what it leads to is the network's and the engine's affair, whether the caller lives on or not. */
  async #call<T>(name: string, work: () => Promise<T>): Promise<T> {
    const line = this.#line;
    const answer = await this.#world.step(this.#process, `engine.${name}`, async () => {
      if (line.isCut || this.#closed.signal.aborted) return undefined;
      this.#world.note(this.#world.now(), this.#process.name, `engine.${name}`, this.shard);
      return { promise: this.#deliver(work) };
    });
    const outcome = answer && (await answer.promise);
    if (!outcome) {
      await this.#sleep(TIMEOUT);
      throw new Unreachable(`shard ${this.shard} does not answer`);
    }
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  /** @returns undefined where no answer comes */
  async #deliver<T>(work: () => Promise<T>): Promise<{ value: T } | { error: unknown } | undefined> {
    const line = this.#line;
    if (line.slowness > 0) await this.#pass();
    if (line.isCut) return undefined;
    const outcome = await settle(work());
    if (this.#world.random() < line.doubles) await settle(work());
    if (line.slowness > 0) await this.#pass();
    return line.isCut || this.#world.random() < line.losses ? undefined : outcome;
  }

  /** Time that a message takes on the line, whoever lives meanwhile. */
  #pass(): Promise<void> {
    return new Promise((resolve) => this.#world.clock.after(this.#world.random() * this.#line.slowness, resolve));
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.later(this.#process, milliseconds, resolve);
    });
  }
}

async function settle<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}
