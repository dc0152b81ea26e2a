import type { FastifyReply, FastifyRequest } from "fastify";
import type { Authenticator } from "../access/authenticator.ts";
import type { Limits } from "../limits.ts";
import { Problem } from "../problems/problem.ts";

/** Milliseconds between comments that show that a stream lives. */
const PING = 15_000;

/** One open stream of server-sent events. */
export class SseStream {
  readonly #reply: FastifyReply;
  readonly #most: number;
  readonly #ping: NodeJS.Timeout;
  readonly #onClose: (() => void)[] = [];
  #open = true;

  constructor(reply: FastifyReply, most: number) {
    this.#reply = reply;
    this.#most = most;
    reply.hijack();
    const headers = Object.fromEntries(Object.entries(reply.getHeaders()).filter(([, value]) => value !== undefined)) as Record<string, string>;
    reply.raw.writeHead(200, {
      ...headers,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
      connection: "keep-alive",
    });
    // clients come back after this many milliseconds
    reply.raw.write("retry: 1000\n\n");
    this.#ping = setInterval(() => this.#write(": ping\n\n"), PING).unref();
    reply.raw.on("close", () => this.#closed());
    reply.raw.on("error", () => this.#closed());
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Bytes that its reader lags behind. */
  get behind(): number {
    return this.#reply.raw.writableLength;
  }

  send(message: { id?: string; event?: string; data: unknown }): void {
    const head = `${message.id === undefined ? "" : `id: ${message.id}\n`}${message.event === undefined ? "" : `event: ${message.event}\n`}`;
    this.#write(`${head}data: ${JSON.stringify(message.data)}\n\n`);
  }

  onClose(then: () => void): void {
    if (this.#open) this.#onClose.push(then);
    else then();
  }

  end(): void {
    if (!this.#open) return;
    this.#closed();
    this.#reply.raw.end();
  }

  /** A reader that can't keep up is let go: it comes back with its last id and misses nothing. */
  #write(text: string): void {
    if (!this.#open) return;
    if (this.#reply.raw.writableLength > this.#most) {
      this.#closed();
      this.#reply.raw.destroy();
      return;
    }
    this.#reply.raw.write(text);
  }

  #closed(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#ping);
    for (const then of this.#onClose.splice(0)) then();
  }
}

type StreamLimits = Pick<Limits, "streams" | "streamBuffer" | "streamCheck">;

/** All open streams: limited by token, ended together, and none outlives what its token may see. */
export class Streams {
  readonly #limits: StreamLimits;
  readonly #authenticator: Pick<Authenticator, "isStill">;
  readonly #open = new Map<string, Set<SseStream>>();
  #ending = false;

  constructor(limits: StreamLimits, authenticator: Pick<Authenticator, "isStill">) {
    this.#limits = limits;
    this.#authenticator = authenticator;
  }

  get count(): number {
    let count = 0;
    for (const streams of this.#open.values()) count += streams.size;
    return count;
  }

  /** @throws Problem too_many_streams, unavailable */
  open(request: FastifyRequest, reply: FastifyReply): SseStream {
    const key = request.identity?.key ?? request.ip;
    if (this.#ending) throw new Problem("unavailable", "The server is shutting down", { headers: { "retry-after": "1" } });
    const own = this.#open.get(key) ?? new Set();
    if (own.size >= this.#limits.streams)
      throw new Problem("too_many_streams", `This token has ${own.size} streams open, which is the limit; close one first`, {
        headers: { "retry-after": "5" },
      });
    this.#open.set(key, own);
    const stream = new SseStream(reply, this.#limits.streamBuffer);
    own.add(stream);
    // whoever may still see something comes back with the last id, and is sent that
    const check = setInterval(() => void this.#check(request, stream), this.#limits.streamCheck).unref();
    stream.onClose(() => {
      clearInterval(check);
      own.delete(stream);
      if (own.size === 0) this.#open.delete(key);
    });
    return stream;
  }

  async #check({ identity, headers }: FastifyRequest, stream: SseStream): Promise<void> {
    if (identity && !(await this.#authenticator.isStill(identity, headers.authorization))) stream.end();
  }

  /** Ends all, and takes no more. */
  end(): void {
    this.#ending = true;
    const all = [...this.#open.values()].flatMap((streams) => [...streams]);
    for (const stream of all) stream.end();
  }
}
