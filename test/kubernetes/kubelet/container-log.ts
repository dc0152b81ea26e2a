import { EventEmitter } from "node:events";
import type { Readable } from "node:stream";

/** What `GET .../log` can ask for. */
export interface LogQuery {
  follow: boolean;
  timestamps: boolean;
  tailLines?: number;
  limitBytes?: number;
  /** Milliseconds. */
  since?: number;
}

interface Line {
  at: bigint;
  text: string;
}

/** Nanoseconds since the epoch; never the same twice. */
const START = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
const now = (): bigint => START + process.hrtime.bigint();

/** A container's output, each line with the time it came, bytes as latin1. An unfinished last line is kept as such. */
export class ContainerLog {
  readonly #lines: Line[] = [];
  readonly #changed = new EventEmitter().setMaxListeners(0);
  #ended = false;

  take(stream: Readable): void {
    let rest = "";
    stream.setEncoding("latin1");
    stream.on("data", (text: string) => {
      const parts = (rest + text).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) this.#add(`${part}\n`);
    });
    stream.on("end", () => {
      if (rest !== "") this.#add(rest);
    });
  }

  end(): void {
    this.#ended = true;
    this.#changed.emit("change");
  }

  get text(): string {
    return this.#lines.map(({ text }) => text).join("");
  }

  /** The lines asked for; with `follow`, also those that come until the end. */
  async *read({ follow, timestamps, tailLines, limitBytes = Infinity, since = 0 }: LogQuery, signal: AbortSignal): AsyncGenerator<Buffer> {
    const gone = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    let next = tailLines === undefined ? 0 : Math.max(0, this.#lines.length - tailLines);
    for (let left = limitBytes; left > 0; ) {
      const line = this.#lines[next];
      if (line) {
        next++;
        if (line.at < BigInt(since) * 1_000_000n) continue;
        const bytes = Buffer.from(timestamps ? `${rfc3339(line.at)} ${line.text}` : line.text, "latin1").subarray(0, left);
        left -= bytes.length;
        yield bytes;
      } else if (!follow || this.#ended || signal.aborted) {
        return;
      } else {
        await Promise.race([gone, new Promise<void>((resolve) => this.#changed.once("change", resolve))]);
      }
    }
  }

  #add(text: string): void {
    this.#lines.push({ at: now(), text });
    this.#changed.emit("change");
  }
}

function rfc3339(at: bigint): string {
  return new Date(Number(at / 1_000_000n)).toISOString().replace(/\.\d+Z$/, `.${String(at % 1_000_000_000n).padStart(9, "0")}Z`);
}
