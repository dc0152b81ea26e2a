import { closeSync, constants, fstatSync, mkdirSync, openSync, readdirSync, readSync, statSync, unlinkSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { AttemptKey, LogChunk, WorkerKey } from "@muster/engine";
import { attemptName, workerName } from "./keys.ts";

/*
 * Workers' output on disk: `logs/<xx>/<job>.<incarnation>-<attempt>.<worker>.<offset>`, each file named for the offset of
 * its first byte in the worker's whole output. Offsets only rise; the oldest files go when the cap is reached. The folder
 * is one of 256, by the job's hash: making a folder for each job would cost as much as starting it.
 */

interface Part {
  start: number;
  size: number;
}

export interface LogLimits {
  part: number;
  cap: number;
}

const OFFSET_DIGITS = 15;

function folderOf(logs: string, job: string): string {
  let hash = 0;
  for (let i = 0; i < job.length; i++) hash = (hash * 31 + job.charCodeAt(i)) & 0xff;
  return join(logs, hash.toString(16).padStart(2, "0"));
}

function partPath(folder: string, prefix: string, start: number): string {
  return join(folder, prefix + String(start).padStart(OFFSET_DIGITS, "0"));
}

function listParts(folder: string, prefix: string): Part[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => ({ start: Number(name.slice(prefix.length)), size: statSync(join(folder, name)).size }))
    .sort((a, b) => a.start - b.start);
}

export class LogWriter {
  private readonly folder: string;
  private readonly prefix: string;
  private readonly limits: LogLimits;
  private readonly parts: Part[];
  private file: number;
  private droppedBytes = 0;
  private kept: number;

  /** Goes on where an earlier agent stopped. */
  constructor(logs: string, key: WorkerKey, limits: LogLimits, fresh: boolean) {
    this.folder = folderOf(logs, key.job);
    this.prefix = `${workerName(key)}.`;
    this.limits = limits;
    this.parts = fresh ? [] : listParts(this.folder, this.prefix);
    if (this.parts.length === 0) this.parts.push({ start: 0, size: 0 });
    this.kept = this.parts.reduce((sum, part) => sum + part.size, 0);
    // one that says nothing needs no file
    this.file = this.kept > 0 ? this.openLast() : -1;
    if (!fresh && this.file >= 0) {
      const last = this.parts.at(-1) as Part;
      last.size = fstatSync(this.file).size;
    }
  }

  /** Offset after the last byte kept. */
  get end(): number {
    const last = this.parts.at(-1) as Part;
    return last.start + last.size;
  }

  /** What was kept from an offset on, as far as it is in the newest file and not more than `limit`. */
  since(offset: number, limit: number): { offset: number; data: Buffer } {
    const last = this.parts.at(-1) as Part;
    const from = Math.max(offset, last.start, this.end - limit);
    const data = Buffer.alloc(Math.max(0, this.end - from));
    if (data.length === 0) return { offset: this.end, data };
    const file = openSync(partPath(this.folder, this.prefix, last.start), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return { offset: from, data: data.subarray(0, readSync(file, data, 0, data.length, from - last.start)) };
    } finally {
      closeSync(file);
    }
  }

  /** Bytes that couldn't be written since this was last asked. */
  takeDropped(): number {
    const dropped = this.droppedBytes;
    this.droppedBytes = 0;
    return dropped;
  }

  /** Writes what the disk takes; the rest is counted as dropped. Never throws, never waits. */
  write(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      const last = this.parts.at(-1) as Part;
      if (last.size >= this.limits.part) {
        this.rotate(last);
        continue;
      }
      let written = 0;
      try {
        if (this.file < 0) this.file = this.openLast();
        written = this.file < 0 ? 0 : writeSync(this.file, data, at, Math.min(data.length - at, this.limits.part - last.size));
      } catch {
        written = 0;
      }
      if (written === 0) {
        this.droppedBytes += data.length - at;
        return;
      }
      at += written;
      last.size += written;
      this.kept += written;
    }
  }

  close(): void {
    if (this.file >= 0) closeSync(this.file);
    this.file = -1;
  }

  private rotate(last: Part): void {
    this.close();
    this.parts.push({ start: last.start + last.size, size: 0 });
    while (this.parts.length > 1 && this.kept + this.limits.part > this.limits.cap) {
      const oldest = this.parts.shift() as Part;
      this.kept -= oldest.size;
      try {
        unlinkSync(partPath(this.folder, this.prefix, oldest.start));
      } catch {
        // already gone
      }
    }
    this.file = this.openLast();
  }

  private openLast(): number {
    const path = partPath(this.folder, this.prefix, (this.parts.at(-1) as Part).start);
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
    try {
      return openSync(path, flags, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") return -1;
    }
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      return openSync(path, flags, 0o600);
    } catch {
      return -1;
    }
  }
}

/** Reads a stretch of a worker's output; from the oldest byte kept where `offset` is older. */
export async function readLog(logs: string, key: WorkerKey, offset: number, limit: number, ended: boolean): Promise<LogChunk> {
  const folder = folderOf(logs, key.job);
  const prefix = `${workerName(key)}.`;
  const parts = listParts(folder, prefix);
  const first = parts[0];
  const last = parts.at(-1);
  if (!first || !last) return { offset, next: offset, end: ended, data: new Uint8Array() };
  const total = last.start + last.size;
  const from = Math.max(offset, first.start);
  const part = parts.findLast((one) => one.start <= from) as Part;
  const length = Math.max(0, Math.min(limit, part.start + part.size - from));
  const data = Buffer.alloc(length);
  let read = 0;
  if (length > 0) {
    const file = await open(partPath(folder, prefix, part.start), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      read = (await file.read(data, 0, length, from - part.start)).bytesRead;
    } finally {
      await file.close();
    }
  }
  return { offset: from, next: from + read, end: ended && from + read >= total, data: data.subarray(0, read) };
}

/** Removes the output of an attempt. */
export function removeLogs(logs: string, key: AttemptKey): void {
  const folder = folderOf(logs, key.job);
  const prefix = `${attemptName(key)}.`;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return;
  }
  for (const name of names) if (name.startsWith(prefix)) unlinkSync(join(folder, name));
}
