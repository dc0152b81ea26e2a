import { OutputReader, type OutputEvents, type OutputSpec } from "@muster/output";

/*
 * A worker's output, as its pod's log gives it: with a time before each line, and with the shim's own lines between. Both are
 * taken out, so that what is kept, and every offset, is what the worker wrote. The same log read again gives the same bytes.
 */

/** Begins what the shim tells; nothing that is printed has it. */
const SHIM = Buffer.from("\u001emuster ");
/** Read, but not yet fetched: beyond it the log is left with the kubelet until someone fetches. */
const UNREAD_LIMIT = 4 << 20;
/** Kept behind the reader, for those who look twice. */
const KEPT_BEHIND = 256 << 10;
const LINE_LIMIT = 1 << 20;

export interface TailEvents extends OutputEvents {
  /** What the shim tells, word by word. */
  told: (verb: string, rest: string) => void;
}

export class LogTail {
  /** Bytes of output in all. */
  size = 0;
  /** The time before the newest line, and how many lines had it. */
  lastTime = "";
  private sameTime = 0;
  private skip: { time: string; lines: number } | undefined;
  private readonly output: OutputReader;
  private readonly told: TailEvents["told"];
  private chunks: Buffer[] = [];
  private base = 0;
  private behind = KEPT_BEHIND;
  private fetched = 0;
  private rest: Buffer[] = [];
  private restBytes = 0;
  private resume: (() => void) | undefined;

  constructor(spec: OutputSpec, events: TailEvents) {
    this.output = new OutputReader(spec, events, 0, new Set());
    this.told = events.told;
  }

  /** The log is read again from the last time on: lines of that time that are known already are left out. */
  reopen(): void {
    this.rest = [];
    this.restBytes = 0;
    this.skip = this.lastTime === "" ? undefined : { time: this.lastTime, lines: this.sameTime };
  }

  push(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      const end = data.indexOf(10, at);
      const piece = data.subarray(at, end < 0 ? data.length : end + 1);
      this.rest.push(piece);
      this.restBytes += piece.length;
      at += piece.length;
      if (end >= 0 || this.restBytes > LINE_LIMIT) this.line();
    }
  }

  /** No more will come. */
  end(): void {
    if (this.restBytes > 0) this.line();
    this.output.end();
  }

  tail(bytes: number): string {
    return this.output.tail(bytes).toString("utf8");
  }

  /** Resolves when so much was fetched that more may be read. */
  async room(): Promise<void> {
    while (this.size - this.fetched > UNREAD_LIMIT) {
      await new Promise<void>((resolve) => {
        this.resume = resolve;
      });
    }
  }

  /** Lets whoever waits for room go on. */
  release(): void {
    this.fetched = this.size;
    this.resume?.();
  }

  /** What was fetched stays as well. */
  keepAll(): void {
    this.behind = Number.POSITIVE_INFINITY;
  }

  /** Undefined where it isn't kept any more. */
  read(offset: number, limit: number): Buffer | undefined {
    if (offset < this.base) return undefined;
    const parts: Buffer[] = [];
    let at = this.base;
    let left = limit;
    for (const chunk of this.chunks) {
      const from = Math.max(0, offset - at);
      if (from < chunk.length && left > 0) {
        const part = chunk.subarray(from, from + left);
        parts.push(part);
        left -= part.length;
      }
      at += chunk.length;
    }
    const data = Buffer.concat(parts);
    this.fetched = Math.max(this.fetched, offset + data.length);
    while (this.chunks[0] && this.base + this.chunks[0].length <= this.fetched - this.behind) this.base += (this.chunks.shift() as Buffer).length;
    this.resume?.();
    return data;
  }

  private line(): void {
    let line = this.rest.length === 1 ? (this.rest[0] as Buffer) : Buffer.concat(this.rest);
    this.rest = [];
    this.restBytes = 0;
    const space = line.indexOf(32);
    const time = space > 0 && space <= 40 ? line.toString("latin1", 0, space) : "";
    if (/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[-+]\d\d:\d\d)$/.test(time)) {
      line = line.subarray(space + 1);
      if (this.known(time)) return;
    }
    const shim = line.indexOf(SHIM);
    if (shim >= 0) {
      const [verb, ...rest] = line
        .toString("utf8", shim + SHIM.length)
        .trimEnd()
        .split(" ");
      this.told(verb as string, rest.join(" "));
      line = line.subarray(0, shim);
    }
    if (line.length > 0) this.keep(Buffer.from(line));
  }

  private known(time: string): boolean {
    if (this.skip) {
      if (time < this.skip.time) return true;
      if (time === this.skip.time && this.skip.lines > 0) {
        this.skip.lines--;
        return true;
      }
      if (time > this.skip.time) this.skip = undefined;
    }
    if (time === this.lastTime) this.sameTime++;
    else {
      this.lastTime = time;
      this.sameTime = 1;
    }
    return false;
  }

  private keep(data: Buffer): void {
    const last = this.chunks.at(-1);
    // many short lines are one chunk
    if (last && last.length + data.length <= 16_384) this.chunks[this.chunks.length - 1] = Buffer.concat([last, data]);
    else this.chunks.push(data);
    this.size += data.length;
    this.output.push(data);
  }
}
