import { spawn } from "node:child_process";
import { chownSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, readSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { signalName } from "@muster/output";
import { WorkerGroup, type CgroupBases } from "./cgroups.ts";

/*
 * A slot is what one worker is held by: a pipe for its output, a file for its exit record, its control groups. Slots are
 * made in batches and used again, but only for the same user, and only after the kernel confirmed that their last worker
 * has no process left that could hold the pipe.
 */

const BATCH = 32;
/** Free slots kept for a user; each holds some descriptors. */
const MAX_FREE = 256;
const PIPE_BYTES = 65_536;

export class Slot {
  readonly name: string;
  readonly group: WorkerGroup;
  private readonly folder: string;
  private descriptors: { read: number; write: number } | undefined;
  private socket: Socket | undefined;
  private onData: ((data: Buffer) => void) | undefined;

  constructor(folder: string, name: string, bases: CgroupBases) {
    this.folder = folder;
    this.name = name;
    this.group = new WorkerGroup(bases, name);
  }

  /** What a worker is given, by path: its output, its exit record, the lists of its groups. */
  files(): string[] {
    return [join(this.folder, `${this.name}.out`), join(this.folder, `${this.name}.exit`), ...this.group.procsFiles()];
  }

  /** Hands what comes out of the pipe to `onData`, beginning with what is in it. */
  attach(onData: (data: Buffer) => void): void {
    this.onData = onData;
    this.open();
  }

  /** Reads what is left in the pipe, when nobody can write to it any more, and lets go. */
  drain(): void {
    const { read } = this.open();
    try {
      for (;;) {
        const data = Buffer.allocUnsafe(PIPE_BYTES);
        const length = readSync(read, data);
        if (length === 0) break;
        this.onData?.(data.subarray(0, length));
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
    this.onData = undefined;
  }

  /** What a worker wrote before it ended while there was no agent; asked once. */
  takeRest(): Buffer | undefined {
    const path = join(this.folder, `${this.name}.out.rest`);
    if (!existsSync(path)) return undefined;
    const rest = readFileSync(path);
    unlinkSync(path);
    return rest;
  }

  /** What the shim wrote of the start `id`; undefined where it hasn't (yet). */
  readExit(id: number): Exit | undefined {
    let text: string;
    try {
      text = readFileSync(join(this.folder, `${this.name}.exit`), "latin1");
    } catch {
      return undefined;
    }
    return parseExitRecord(text, id);
  }

  remove(): void {
    this.socket?.destroy();
    if (this.descriptors) closeSync(this.descriptors.write);
    this.descriptors = undefined;
    for (const kind of ["out", "out.rest", "exit"]) {
      try {
        unlinkSync(join(this.folder, `${this.name}.${kind}`));
      } catch {
        // never made
      }
    }
    this.group.remove();
  }

  private open(): NonNullable<Slot["descriptors"]> {
    if (this.descriptors) return this.descriptors;
    const pipe = join(this.folder, `${this.name}.out`);
    const read = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    // held open for writing too, or the pipe would end with each worker
    const write = openSync(pipe, constants.O_RDWR | constants.O_NOFOLLOW);
    this.descriptors = { read, write };
    this.socket = new Socket({ fd: read, readable: true, writable: false });
    this.socket.on("data", (data: Buffer) => this.onData?.(data));
    return this.descriptors;
  }
}

export interface Exit {
  code: number | null;
  signal: string | null;
}

/**
 * A shim of perl writes `id =code` or `id !signal`. One of the shell writes `id code`, with 128 + n for death by signal n
 * and for an ordinary exit with that code alike. Only for the former it says so ("Killed") before the record; of SIGINT
 * and SIGPIPE shells say nothing.
 */
export function parseExitRecord(text: string, id: number): Exit | undefined {
  const exact = /(?:^|\n)(\d+) ([=!])(\d{1,3})\n$/.exec(text);
  if (exact) {
    if (Number(exact[1]) !== id) return undefined;
    return exact[2] === "!" ? { code: null, signal: signalName(Number(exact[3])) } : { code: Number(exact[3]), signal: null };
  }
  const record = /(?:^|\n)(\d+) (\d{1,3})\n$/.exec(text);
  if (!record || Number(record[1]) !== id) return undefined;
  const code = Number(record[2]);
  const before = text.slice(0, record.index);
  const said = !/(?:^|\n)\d+ \d{1,3}$/.test(before) && before.trim() !== "";
  if (code > 128 && (said || code === 130 || code === 141)) return { code: null, signal: signalName(code - 128) };
  return { code, signal: null };
}

export class SlotPool {
  private readonly folder: string;
  private readonly bases: CgroupBases;
  private readonly slots = new Map<string, Slot>();
  private readonly free = new Map<number, Slot[]>();
  private readonly making = new Map<number, Promise<void>>();
  private readonly dropped: (slot: string) => void;
  private next = 0;

  constructor(stateDir: string, bases: CgroupBases, dropped: (slot: string) => void) {
    this.folder = join(stateDir, "slots");
    this.bases = bases;
    this.dropped = dropped;
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
  }

  /** The slot of a worker that the journal names. */
  restore(name: string): Slot {
    this.next = Math.max(this.next, Number(name.slice(1)) + 1);
    let slot = this.slots.get(name);
    if (!slot) this.slots.set(name, (slot = new Slot(this.folder, name, this.bases)));
    return slot;
  }

  get(name: string): Slot | undefined {
    return this.slots.get(name);
  }

  /** A free slot whose pipe belongs to the user. */
  async take(uid: number, gid: number): Promise<Slot> {
    for (;;) {
      const slot = this.free.get(uid)?.pop();
      if (slot) return slot;
      let making = this.making.get(uid);
      if (!making) {
        making = this.make(uid, gid).finally(() => this.making.delete(uid));
        this.making.set(uid, making);
      }
      await making;
    }
  }

  /** Gives a slot back. `clean`: the kernel confirmed that nothing of its worker is left. */
  release(slot: Slot, uid: number, clean: boolean): void {
    if (!clean || (this.free.get(uid)?.length ?? 0) >= MAX_FREE) {
      this.slots.delete(slot.name);
      this.dropped(slot.name);
      slot.remove();
      return;
    }
    const free = this.free.get(uid);
    if (free) free.push(slot);
    else this.free.set(uid, [slot]);
  }

  close(): void {
    for (const slot of this.slots.values()) slot.remove();
  }

  private async make(uid: number, gid: number): Promise<void> {
    const names: string[] = [];
    while (names.length < BATCH) {
      const name = `s${this.next++}`;
      if (!existsSync(join(this.folder, `${name}.out`))) names.push(name);
      else unlinkSync(join(this.folder, `${name}.out`));
    }
    await run("mkfifo", ["-m", "600", "--", ...names.map((name) => join(this.folder, `${name}.out`))]);
    const free = this.free.get(uid) ?? [];
    this.free.set(uid, free);
    for (const name of names) {
      // a program may open /dev/stdout anew, so the pipe is its user's
      if (process.getuid?.() === 0) chownSync(join(this.folder, `${name}.out`), uid, gid);
      const slot = new Slot(this.folder, name, this.bases);
      this.slots.set(name, slot);
      free.push(slot);
    }
  }
}

/** Runs a program of the system and waits for it; rejects with the end of what it said. */
export function run(
  command: string,
  args: string[],
  options: { cwd?: string; uid?: number; gid?: number; env?: Record<string, string>; timeout?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
      ...options,
    });
    let output = "";
    let trouble = "";
    child.stdout.on("data", (data: Buffer) => {
      output = (output + data.toString("utf8")).slice(-65_536);
    });
    child.stderr.on("data", (data: Buffer) => {
      trouble = (trouble + data.toString("utf8")).slice(-2048);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ended with ${signal ?? `code ${code}`}: ${trouble.trim() || "no message"}`));
    });
  });
}
