import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/* New lines of the kernel's log, as they come: /dev/kmsg, or a file that a log daemon writes. Never throws, never waits. */

/** Lines told of in a minute: a device that fails may say so thousands of times. */
const PER_MINUTE = 20;
const CHUNK = 8192;
/** What is worth telling of; what it means is decided where it is told. */
const WORTH =
  /NVRM: Xid|amdgpu|ascend|devdrv|davinci|\bnpu|Hardware Error|Machine check|read-only|I\/O error|-fs error|XFS|medium error|link (is )?down|Out of memory|oom-kill/i;

export class KernelLog {
  private descriptor: number | undefined;
  /** Of a plain file, what was read; null: a device that gives records. */
  private offset: number | null = null;
  private rest = "";
  private minute = 0;
  private told = 0;

  /** What was there before is left out. */
  constructor(path: string, trouble: (error: unknown) => void) {
    try {
      this.descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const stat = fstatSync(this.descriptor);
      if (stat.isFile()) this.offset = stat.size;
      else while (this.record() !== undefined);
    } catch (error) {
      trouble(error);
    }
  }

  /** Lines worth telling of since the last look. */
  take(now: number): string[] {
    if (this.descriptor === undefined) return [];
    const lines: string[] = [];
    if (this.offset === null) for (let record = this.record(); record !== undefined && lines.length < 1000; record = this.record()) lines.push(record);
    else lines.push(...this.appended());
    if (Math.floor(now / 60_000) !== this.minute) [this.minute, this.told] = [Math.floor(now / 60_000), 0];
    const worth = lines.filter((line) => WORTH.test(line)).slice(0, PER_MINUTE - this.told);
    this.told += worth.length;
    return worth.map((line) => line.slice(0, 500));
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  /** One record of /dev/kmsg, `priority,sequence,time,flags;text` and lines of its own; undefined: none is there. */
  private record(): string | undefined {
    const buffer = Buffer.alloc(CHUNK);
    for (;;) {
      try {
        const read = readSync(this.descriptor as number, buffer, 0, CHUNK, null);
        if (read === 0) return undefined;
        const text = buffer.toString("utf8", 0, read).split("\n")[0] ?? "";
        return text.slice(text.indexOf(";") + 1);
      } catch (error) {
        // what was overwritten before it was read is gone
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") return undefined;
      }
    }
  }

  private appended(): string[] {
    const size = fstatSync(this.descriptor as number).size;
    if (size < (this.offset as number)) this.offset = 0;
    const buffer = Buffer.alloc(Math.min(CHUNK * 8, size - (this.offset as number)));
    if (buffer.length === 0) return [];
    const read = readSync(this.descriptor as number, buffer, 0, buffer.length, this.offset);
    this.offset = (this.offset as number) + read;
    const lines = (this.rest + buffer.toString("utf8", 0, read)).split("\n");
    this.rest = (lines.pop() ?? "").slice(-CHUNK);
    return lines;
  }
}
