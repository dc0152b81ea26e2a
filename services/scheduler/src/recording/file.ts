import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, unlink, type FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

/** Characters that are joined and written at once. */
const CHUNK = 4 << 20;

/** A file of whole lines: what a full disk cut off is taken away again. */
export class RecordingFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Bytes of whole lines. */
  #size = 0;

  /** @throws where the file exists, or can't be made */
  static async create(path: string): Promise<RecordingFile> {
    return new RecordingFile(path, await open(path, "wx", 0o600));
  }

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  async append(lines: readonly string[]): Promise<void> {
    let chunk: string[] = [];
    let length = 0;
    for (const line of lines) {
      chunk.push(line);
      length += line.length;
      if (length < CHUNK) continue;
      await this.#write(chunk);
      chunk = [];
      length = 0;
    }
    if (chunk.length > 0) await this.#write(chunk);
  }

  /** Closes it, and compresses it where there is room for that. */
  async close(): Promise<void> {
    await this.#handle.close();
    const part = `${this.path}.gz.part`;
    try {
      await pipeline(createReadStream(this.path), createGzip({ level: 3 }), createWriteStream(part, { mode: 0o600 }));
      await rename(part, `${this.path}.gz`);
    } catch {
      await unlink(part).catch(() => {});
      return;
    }
    await unlink(this.path);
  }

  /** Leaves the whole lines, and after them why there are no more. Throws where not even that can be written. */
  async abandon(why: string): Promise<void> {
    try {
      await this.#handle.truncate(this.#size);
      await this.#write([JSON.stringify(["end", why])]);
    } finally {
      await this.#handle.close();
    }
  }

  async #write(lines: readonly string[]): Promise<void> {
    const bytes = Buffer.from(`${lines.join("\n")}\n`);
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#size + done);
      done += bytesWritten;
    }
    this.#size += bytes.length;
  }
}
