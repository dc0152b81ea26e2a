import { open, rename, type FileHandle } from "node:fs/promises";
import { readFileSync, existsSync, writeFileSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/*
 * An append-only file of lines with group commit: everything that waits shares one fdatasync. A line counts once its
 * commit has resolved; a torn last line (a crash in mid-write) is cut off at the next open.
 */

const RESERVE_BYTES = 4 << 20;
const RETRY_MS = 500;

export class Journal {
  private readonly path: string;
  private file: FileHandle;
  private size: number;
  private pending: string[] = [];
  private waiting: (() => void)[] = [];
  private readonly compactions: { lines: () => string[]; resolve: () => void }[] = [];
  private running: Promise<void> | undefined;
  private closed = false;
  /** Called once per trouble with the disk; the journal goes on trying, as nothing may be reported before it is kept. */
  onTrouble: (error: Error) => void = () => {};

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path;
    this.file = file;
    this.size = size;
  }

  /** Opens or makes the journal and hands each whole line to `replay`. */
  static async open(path: string, replay: (line: string) => void): Promise<Journal> {
    let good = 0;
    if (existsSync(path)) {
      const content = readFileSync(path);
      for (let at = 0; ; ) {
        const end = content.indexOf(10, at);
        if (end < 0) break;
        replay(content.toString("utf8", at, end));
        good = at = end + 1;
      }
    }
    const file = await open(path, "a", 0o600);
    await file.truncate(good);
    const journal = new Journal(path, file, good);
    journal.keepReserve();
    return journal;
  }

  /** Adds lines, in this order, behind all added before. */
  add(line: string): void {
    this.pending.push(line);
    this.start();
  }

  /** Resolves when all added so far is on disk. */
  durable(): Promise<void> {
    if (this.pending.length === 0 && !this.running) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.start();
    });
  }

  get bytes(): number {
    return this.size;
  }

  /** Replaces the whole content by what `lines` gives when its turn comes: the state with all added until then included. */
  compact(lines: () => string[]): Promise<void> {
    return new Promise((resolve) => {
      this.compactions.push({ lines, resolve });
      this.start();
    });
  }

  async close(): Promise<void> {
    await this.durable();
    while (this.running) await this.running;
    this.closed = true;
    await this.file.close();
  }

  private start(): void {
    if (this.running || this.closed) return;
    this.running = this.work();
  }

  private async work(): Promise<void> {
    // one turn of the loop, so that what belongs together is committed together
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    while (this.pending.length > 0 || this.waiting.length > 0 || this.compactions.length > 0) {
      const compaction = this.compactions.shift();
      if (!compaction) await this.flush();
      else {
        await this.rewrite(compaction.lines);
        compaction.resolve();
      }
    }
    // in the same turn as the last look: what is added from now on starts anew
    this.running = undefined;
  }

  private async flush(): Promise<void> {
    const lines = this.pending;
    const waiting = this.waiting;
    this.pending = [];
    this.waiting = [];
    if (lines.length > 0) await this.write(Buffer.from(`${lines.join("\n")}\n`));
    for (const resolve of waiting) resolve();
  }

  private async write(data: Buffer): Promise<void> {
    for (let told = false; ; ) {
      try {
        let done = 0;
        while (done < data.length) done += (await this.file.write(data, done)).bytesWritten;
        await this.file.datasync();
        this.size += data.length;
        return;
      } catch (error) {
        // a half-written batch must not stay: it would be read twice
        await this.file.truncate(this.size).catch(() => {});
        if (!told) this.onTrouble(error as Error);
        told = true;
        this.dropReserve();
        await new Promise((resolve) => {
          setTimeout(resolve, RETRY_MS);
        });
      }
    }
  }

  private async rewrite(lines: () => string[]): Promise<void> {
    const next = `${this.path}.next`;
    // what is pending is part of the state that `lines` describes
    const waiting = this.waiting;
    this.pending = [];
    this.waiting = [];
    const data = Buffer.from(`${lines().join("\n")}\n`);
    for (;;) {
      try {
        await writeWhole(next, data);
        await rename(next, this.path);
        await syncFolder(dirname(this.path));
        break;
      } catch (error) {
        this.onTrouble(error as Error);
        this.dropReserve();
        await new Promise((resolve) => {
          setTimeout(resolve, RETRY_MS);
        });
      }
    }
    await this.file.close();
    this.file = await open(this.path, "a", 0o600);
    this.size = data.length;
    this.keepReserve();
    for (const resolve of waiting) resolve();
  }

  /** Space set aside, so that the ends of what runs can be kept when others have filled the disk. */
  private keepReserve(): void {
    const path = join(dirname(this.path), "reserve");
    try {
      if (!existsSync(path)) writeFileSync(path, Buffer.alloc(RESERVE_BYTES, 1), { mode: 0o600 });
    } catch {
      this.dropReserve();
    }
  }

  private dropReserve(): void {
    try {
      unlinkSync(join(dirname(this.path), "reserve"));
    } catch {
      // already gone
    }
  }
}

async function writeWhole(path: string, data: Buffer): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(data);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** A rename is on disk once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
