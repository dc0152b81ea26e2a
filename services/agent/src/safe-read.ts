import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/*
 * Reading files that workers write. The folder is one that a worker can't replace; the file itself may be anything, so it
 * is opened without following a link or waiting for a pipe's other end, and read only if it is an ordinary file.
 */

/** At most `limit` bytes from `offset`; undefined where there is no ordinary file, or nothing new in it. */
export function readWorkerFile(path: string, offset: number, limit: number): Buffer | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size <= offset) return undefined;
    const data = Buffer.alloc(Math.min(limit, stat.size - offset));
    return data.subarray(0, readSync(descriptor, data, 0, data.length, offset));
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
