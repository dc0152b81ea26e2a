import { createHash } from "node:crypto";
import { PLACEMENT_VERSION, RECORDING_FORMAT, type CycleResult, type RecordingSink } from "@muster/placement";
import type { Logger } from "pino";
import { RecordingFile } from "./file.ts";
import { nextPart, prune } from "./folder.ts";

export interface RecordingOptions {
  /** Where recordings are kept; made if it is not there. */
  folder: string;
  /** Bytes after which a recording is closed; what a term reads at its start is not counted. Default 64 MiB. */
  partBytes?: number;
  /** Bytes that closed recordings may take together. Default 512 MiB. */
  totalBytes?: number;
  /** Least time between two recordings, as each begins with reading everything; milliseconds. Default 10 minutes. */
  restartAfter?: number;
}

const MIB = 2 ** 20;
/** More than this is not kept for a disk that is slower than the scheduler. */
const MOST_WAITING = 64 * MIB;
const FLUSH_EVERY = 200;

/** One recording, of one engine from its first call on. Nothing here throws, waits, or holds up who calls. */
export class Recorder implements RecordingSink {
  readonly #options: RecordingOptions;
  readonly #logger: Logger;
  readonly #epoch: string;
  readonly #began = performance.now();
  #lines: string[] = [];
  #waiting = 0;
  #written = 0;
  #loadBytes = 0;
  /** Turned into a line as soon as the cycle's decisions are on their way, at the latest before the next call. */
  #cycle: { now: number; result: CycleResult } | undefined;
  #open = true;
  #full = false;
  #file: RecordingFile | undefined;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void>;

  constructor(options: RecordingOptions, epoch: string, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.#epoch = epoch;
    this.#line(JSON.stringify({ recording: RECORDING_FORMAT, placement: PLACEMENT_VERSION, epoch, at: new Date().toISOString(), options: {} }));
    this.#work = this.#create();
  }

  /** Whether it is as long as it may be, and a next one may begin. */
  get due(): boolean {
    return this.#full && performance.now() - this.#began >= (this.#options.restartAfter ?? 600_000);
  }

  call(name: string, args: readonly unknown[]): void {
    if (!this.#open) return;
    this.#settleCycle();
    this.#line(JSON.stringify([name, ...args]));
  }

  cycle(now: number, result: CycleResult): void {
    if (!this.#open) return;
    this.#settleCycle();
    this.#cycle = { now, result };
    setImmediate(() => this.#settleCycle());
  }

  /** What was told until now is what the term began with. */
  loaded(): void {
    if (!this.#open) return;
    this.#line('["loaded"]');
    this.#loadBytes = this.#written + this.#waiting;
  }

  /** Writes what is left, and compresses it. */
  async close(why = "the term ended"): Promise<void> {
    this.#end(why);
    await this.#work;
  }

  #settleCycle(): void {
    const cycle = this.#cycle;
    if (!cycle) return;
    this.#cycle = undefined;
    const { now: _, ...decisions } = cycle.result;
    const text = JSON.stringify(decisions);
    this.#line(`["cycle",${cycle.now},"${createHash("sha256").update(text).digest("base64url")}",${text}]`);
  }

  #line(text: string): void {
    if (!this.#open) return;
    this.#lines.push(text);
    this.#waiting += text.length + 1;
    if (this.#waiting > MOST_WAITING) {
      // nothing may be left out in the middle
      this.#end("the disk is too slow");
      this.#logger.warn({ folder: this.#options.folder }, "scheduling is not recorded any more until the next term: the disk is too slow");
      return;
    }
    if (this.#loadBytes > 0 && this.#written + this.#waiting > this.#loadBytes + (this.#options.partBytes ?? 64 * MIB)) {
      this.#full = true;
      this.#end("it is as long as it may be");
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#then(() => this.#flush());
    }, FLUSH_EVERY).unref();
  }

  #end(why: string): void {
    this.#settleCycle();
    if (!this.#open) return;
    this.#open = false;
    this.#lines.push(JSON.stringify(["end", why]));
    clearTimeout(this.#timer);
    this.#then(async () => {
      await this.#flush();
      if (!this.#file) return;
      await this.#file.close();
      await prune(this.#options.folder, this.#options.totalBytes ?? 512 * MIB);
    });
  }

  /** One thing at a time; the first that fails ends the recording, and says so. */
  #then(step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch((error: unknown) => this.#fail(error));
  }

  async #create(): Promise<void> {
    try {
      const { folder, totalBytes = 512 * MIB } = this.#options;
      this.#file = await RecordingFile.create(await nextPart(folder, this.#epoch));
      await prune(folder, totalBytes, this.#file.path);
    } catch (error) {
      await this.#fail(error);
    }
  }

  async #flush(): Promise<void> {
    const lines = this.#lines;
    this.#lines = [];
    this.#written += this.#waiting;
    this.#waiting = 0;
    if (lines.length > 0) await this.#file?.append(lines);
  }

  async #fail(error: unknown): Promise<void> {
    this.#open = false;
    this.#lines = [];
    this.#waiting = 0;
    clearTimeout(this.#timer);
    const file = this.#file;
    this.#file = undefined;
    this.#logger.warn({ err: error, folder: this.#options.folder }, "scheduling is not recorded any more until the next term");
    try {
      await file?.abandon(`it could not be written further: ${error instanceof Error ? error.message : String(error)}`);
    } catch (left) {
      this.#logger.warn({ err: left, file: file?.path }, "the recording ends without saying why");
    }
  }
}
