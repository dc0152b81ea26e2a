import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

/** A recording that can't be read; says where and why. */
export class RecordingError extends Error {
  override name = "RecordingError";
}

/** One line of a recording, `number` from 1. The last may be cut off, with the process that wrote it: `content` is null then. */
export interface RecordedLine {
  number: number;
  content: unknown;
}

/** The lines of a recording, compressed or not. Throws RecordingError, and the system's own errors for a file that can't be opened. */
export async function* readLines(path: string): AsyncGenerator<RecordedLine> {
  const compressed = await isCompressed(path);
  const file = createReadStream(path);
  const source: Readable = compressed ? file.pipe(createGunzip()) : file;
  let failure: Error | undefined;
  // readline only sees that there is no more
  if (compressed) file.on("error", (error) => source.destroy(error));
  source.on("error", (error: Error) => {
    failure = error;
  });
  let number = 0;
  let cut: number | undefined;
  try {
    for await (const text of createInterface({ input: source, crlfDelay: Infinity })) {
      if (cut !== undefined) throw new RecordingError(`line ${cut} is not JSON`);
      number++;
      let content: unknown;
      try {
        content = JSON.parse(text);
      } catch {
        cut = number;
        continue;
      }
      yield { number, content };
    }
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    failure ??= error instanceof Error ? error : new Error("it can not be read", { cause: error });
  } finally {
    file.destroy();
  }
  if (failure !== undefined && !isCutOff(failure)) throw new RecordingError(`after line ${number}: ${failure.message}`);
  if (cut !== undefined || failure !== undefined) yield { number: cut ?? number + 1, content: null };
}

async function isCompressed(path: string): Promise<boolean> {
  const handle = await open(path);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
  } finally {
    await handle.close();
  }
}

function isCutOff(error: Error): boolean {
  return "code" in error && error.code === "Z_BUF_ERROR";
}
