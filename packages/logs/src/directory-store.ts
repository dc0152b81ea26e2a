import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, rm, rmdir, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkKey, chunkName, parseChunk } from "./keys.ts";
import { DEFAULT_LOG_LIMITS, type Appended, type LogLimits, type LogPart, type LogRetention, type LogStore, type Pruned } from "./log-store.ts";

interface Chunk {
  path: string;
  offset: number;
  size: number;
}

/** Logs in files: one or more chunks a stream, each named by the offset that it begins at. */
export class DirectoryLogStore implements LogStore {
  readonly #root: string;
  readonly #limits: LogLimits;

  constructor(root: string, limits: Partial<LogLimits> = {}) {
    this.#root = root;
    this.#limits = { ...DEFAULT_LOG_LIMITS, ...limits };
  }

  async append(key: string, offset: number, bytes: Uint8Array): Promise<Appended> {
    checkKey(key);
    const end = offset + bytes.length;
    try {
      const chunks = await this.#chunks(key);
      const last = chunks.at(-1);
      const kept = last ? last.offset + last.size : 0;
      let at = Math.max(offset, Math.min(kept, end));
      let rest = bytes.subarray(at - offset);
      if (rest.length === 0) return { next: Math.max(kept, end), dropped: 0, problem: null };
      if (last && at === kept && last.size < this.#limits.chunk) {
        const part = rest.subarray(0, this.#limits.chunk - last.size);
        await write(last.path, last.size, part);
        at += part.length;
        rest = rest.subarray(part.length);
      } else if (!last) await mkdir(dirname(join(this.#root, key)), { recursive: true, mode: 0o750 });
      while (rest.length > 0) {
        const part = rest.subarray(0, this.#limits.chunk);
        await write(join(this.#root, chunkName(key, at)), 0, part);
        at += part.length;
        rest = rest.subarray(part.length);
      }
      if (end - (chunks[0]?.offset ?? offset) > this.#limits.maxStream) await this.#rotate(key);
      return { next: end, dropped: 0, problem: null };
    } catch (error) {
      const kept = await this.size(key).catch(() => offset);
      return { next: end, dropped: Math.max(0, end - Math.max(offset, kept)), problem: error instanceof Error ? error.message : String(error) };
    }
  }

  async read(key: string, offset: number, limit: number): Promise<LogPart> {
    checkKey(key);
    const chunks = await this.#chunks(key);
    const chunk = chunks.find((one) => one.offset + one.size > offset);
    if (!chunk) return { offset, bytes: Buffer.alloc(0) };
    const from = Math.max(offset, chunk.offset);
    const length = Math.min(limit, chunk.offset + chunk.size - from);
    const file = await open(chunk.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, from - chunk.offset);
      return { offset: from, bytes: buffer.subarray(0, bytesRead) };
    } finally {
      await file.close();
    }
  }

  async size(key: string): Promise<number> {
    checkKey(key);
    const last = (await this.#chunks(key)).at(-1);
    return last ? last.offset + last.size : 0;
  }

  async remove(prefix: string): Promise<void> {
    checkKey(prefix);
    await rm(join(this.#root, prefix), { recursive: true, force: true });
    for (const chunk of await this.#chunks(prefix)) await rm(chunk.path, { force: true });
    await rmdir(dirname(join(this.#root, prefix))).catch(() => {});
  }

  async prune({ maxAge, maxTotal }: LogRetention, now: number): Promise<Pruned> {
    const files: { path: string; size: number; at: number }[] = [];
    for (const entry of await readdir(this.#root, { recursive: true, withFileTypes: true }).catch(() => [])) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const found = await lstat(path).catch(() => undefined);
      if (found) files.push({ path, size: found.size, at: found.mtimeMs });
    }
    files.sort((a, b) => a.at - b.at);
    let left = files.reduce((sum, file) => sum + file.size, 0);
    const pruned: Pruned = { files: 0, bytes: 0, left };
    for (const file of files) {
      const tooOld = maxAge !== undefined && now - file.at > maxAge;
      const tooMuch = maxTotal !== undefined && left > maxTotal;
      if (!tooOld && !tooMuch) break;
      await unlink(file.path).catch(() => {});
      await removeEmpty(dirname(file.path), this.#root);
      left -= file.size;
      pruned.files++;
      pruned.bytes += file.size;
    }
    return { ...pruned, left };
  }

  async close(): Promise<void> {}

  async #chunks(key: string): Promise<Chunk[]> {
    const folder = dirname(join(this.#root, key));
    const name = basename(key);
    const chunks: Chunk[] = [];
    for (const entry of await readdir(folder).catch(() => [] as string[])) {
      const chunk = parseChunk(entry);
      if (chunk?.key !== name) continue;
      const path = join(folder, entry);
      const found = await lstat(path).catch(() => undefined);
      if (found?.isFile()) chunks.push({ path, offset: chunk.offset, size: found.size });
    }
    return chunks.sort((a, b) => a.offset - b.offset);
  }

  /** Oldest chunks go until the stream fits; the newest always stays. */
  async #rotate(key: string): Promise<void> {
    const chunks = await this.#chunks(key);
    let total = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    for (const chunk of chunks.slice(0, -1)) {
      if (total <= this.#limits.maxStream) return;
      await unlink(chunk.path);
      total -= chunk.size;
    }
  }
}

/** All of it or nothing: a part that could not be written whole is cut off again. */
async function write(path: string, position: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o640);
  try {
    let done = 0;
    try {
      while (done < bytes.length) done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
    } catch (error) {
      await file.truncate(position).catch(() => {});
      throw error;
    }
  } finally {
    await file.close();
  }
}

async function removeEmpty(folder: string, root: string): Promise<void> {
  for (let at = folder; at !== root && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}
