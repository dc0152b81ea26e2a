import { Pool, type Dispatcher } from "undici";
import {
  Gone,
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

/* The engine for processes on this machine: asks the agent over its Unix socket. */

export interface LocalEngineOptions {
  shard: string;
  /** The agent's socket. */
  socket: string;
  /** Milliseconds without an answer after which the agent counts as unreachable. */
  timeout?: number;
}

const DEFAULT_TIMEOUT_MS = 15_000;
/** The agent sends an empty line every 5 s; three missed mean that it doesn't answer. */
const SILENCE_MS = 15_000;
const PING_TIMEOUT_MS = 3000;

/** A command that the agent could not read: a mistake of the caller, of no use to repeat. */
export class InvalidCommand extends Error {
  override name = "InvalidCommand";
}

export class LocalEngine implements Engine {
  readonly shard: string;
  private readonly pool: Pool;
  private readonly timeout: number;

  constructor({ shard, socket, timeout = DEFAULT_TIMEOUT_MS }: LocalEngineOptions) {
    this.shard = shard;
    this.timeout = timeout;
    this.pool = new Pool("http://agent", { socketPath: socket, connections: 16, connect: { timeout }, bodyTimeout: SILENCE_MS, headersTimeout: timeout });
  }

  async ping(): Promise<void> {
    const response = await this.ask({ method: "GET", path: "/v1/health", headersTimeout: Math.min(PING_TIMEOUT_MS, this.timeout) });
    await this.read(() => response.body.dump());
  }

  async snapshot(): Promise<ShardSnapshot> {
    const response = await this.ask({ method: "GET", path: "/v1/snapshot" });
    return (await this.json(response)) as ShardSnapshot;
  }

  async *observe(epoch: string, after: number, signal: AbortSignal): AsyncIterable<Observation[]> {
    const response = await this.ask({ method: "GET", path: "/v1/observations", query: { epoch, after }, signal });
    let rest = "";
    try {
      for await (const data of response.body.setEncoding("utf8")) {
        const lines = (rest + String(data)).split("\n");
        rest = lines.pop() as string;
        // what came while the last batch was worked on is one batch
        const observations = lines.flatMap((line) => (line === "" ? [] : (JSON.parse(line) as Observation[])));
        if (observations.length > 0) yield observations;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw new Unreachable(`agent ${this.shard}: the connection broke`, { cause: error });
    }
  }

  start(workers: WorkerStart[]): Promise<void> {
    return this.command("/v1/start", { workers });
  }

  stop(workers: WorkerStop[]): Promise<void> {
    return this.command("/v1/stop", { workers });
  }

  checkpointNow(attempts: AttemptKey[]): Promise<void> {
    return this.command("/v1/checkpoint-now", { attempts });
  }

  seal(commits: SealCheckpoint[]): Promise<void> {
    return this.command("/v1/seal", { commits });
  }

  forget(attempts: AttemptKey[]): Promise<void> {
    return this.command("/v1/forget", { attempts });
  }

  async readLog(worker: WorkerKey, offset: number, limit: number): Promise<LogChunk> {
    const { job, incarnation, attempt } = worker;
    const response = await this.ask({ method: "GET", path: "/v1/log", query: { job, incarnation, attempt, worker: worker.worker, offset, limit } });
    const data = new Uint8Array(await this.read(() => response.body.arrayBuffer()));
    return {
      offset: Number(response.headers["muster-offset"]),
      next: Number(response.headers["muster-next"]),
      end: response.headers["muster-end"] === "true",
      data,
    };
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }

  private async command(path: string, body: unknown): Promise<void> {
    const response = await this.ask({ method: "POST", path, body: JSON.stringify(body), headers: { "content-type": "application/json" } });
    await this.read(() => response.body.dump());
  }

  private async ask(request: Omit<Dispatcher.RequestOptions, "origin">): Promise<Dispatcher.ResponseData> {
    const response = await this.read(() => this.pool.request({ headersTimeout: this.timeout, ...request }), request.signal as AbortSignal | undefined);
    if (response.statusCode < 300) return response;
    const problem = await this.read(() => response.body.text());
    if (response.statusCode === 410) throw new Gone(`agent ${this.shard} no longer has these observations`);
    if (response.statusCode === 400 || response.statusCode === 413) throw new InvalidCommand(`agent ${this.shard} refused the command: ${problem}`);
    throw new Unreachable(`agent ${this.shard} answered ${response.statusCode}: ${problem.slice(0, 500)}`);
  }

  private json(response: Dispatcher.ResponseData): Promise<unknown> {
    return this.read(() => response.body.json());
  }

  private async read<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable(`agent ${this.shard} can't be reached: ${(error as Error).message}`, { cause: error });
    }
  }
}
