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
import { KubeError } from "./api.ts";
import type { KubernetesShard } from "./shard.ts";

/* The engine for pods of one cluster: one use of its shard, which goes on watching between two uses. */

export class KubernetesEngine implements Engine {
  readonly shard: string;
  readonly ownDevices = true;
  private readonly core: KubernetesShard;
  private readonly abort = new AbortController();
  private readonly released: () => void;

  constructor(core: KubernetesShard, released: () => void = () => {}) {
    this.core = core;
    this.shard = core.shard;
    this.released = released;
    core.users++;
  }

  addressOf(worker: WorkerKey): string | undefined {
    return this.core.addressOf(worker);
  }

  ping(): Promise<void> {
    return this.reach(() => this.core.ping());
  }

  snapshot(): Promise<ShardSnapshot> {
    return this.reach(async () => this.core.snapshot());
  }

  async *observe(epoch: string, after: number, signal: AbortSignal): AsyncIterable<Observation[]> {
    yield* this.core.feed.follow(epoch, after, AbortSignal.any([signal, this.abort.signal]));
  }

  start(workers: WorkerStart[]): Promise<void> {
    return this.reach(() => this.core.start(workers));
  }

  stop(workers: WorkerStop[]): Promise<void> {
    return this.reach(() => this.core.stop(workers));
  }

  checkpointNow(attempts: AttemptKey[]): Promise<void> {
    return this.reach(() => this.core.checkpointNow(attempts));
  }

  seal(commits: SealCheckpoint[]): Promise<void> {
    return this.reach(() => this.core.seal(commits));
  }

  forget(attempts: AttemptKey[]): Promise<void> {
    return this.reach(() => this.core.forget(attempts));
  }

  readLog(worker: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    return this.reach(() => this.core.readLog(worker, offset, limit));
  }

  async close(): Promise<void> {
    if (this.abort.signal.aborted) return;
    this.abort.abort();
    this.core.users--;
    this.released();
  }

  private async reach<T>(work: () => Promise<T>): Promise<T> {
    if (this.abort.signal.aborted) throw new Unreachable(`shard ${this.shard}: this use of it has ended`);
    try {
      return await work();
    } catch (error) {
      // the outcome of what the server refused for reasons of its own (rights, say) is as unknown as the reason is lasting
      if (error instanceof KubeError) throw new Unreachable(`shard ${this.shard}: ${error.message}`, { cause: error });
      throw error;
    }
  }
}
