import type { LogStore } from "@muster/logs";

const STEP = 64 << 10;
/** Bytes that are looked through at most. */
const MOST = 16 << 20;
const NEWLINE = 10;

/** Where the last `lines` lines of a log begin. */
export async function lineStart(logs: LogStore, key: string, lines: number): Promise<number> {
  const size = await logs.size(key);
  if (lines === 0) return size;
  let [end, left] = [size, lines];
  while (end > 0 && size - end < MOST) {
    const from = Math.max(0, end - STEP);
    const bytes = await readBetween(logs, key, from, end);
    for (let i = bytes.length - 1; i >= 0; i--) {
      // the newline that ends the last line begins none
      if (bytes[i] !== NEWLINE || from + i === size - 1) continue;
      if (--left === 0) return from + i + 1;
    }
    end = from;
  }
  return end;
}

/** The bytes of a range; what was dropped from it stands as zeros. */
async function readBetween(logs: LogStore, key: string, from: number, end: number): Promise<Buffer> {
  const all = Buffer.alloc(end - from);
  for (let at = from; at < end; ) {
    const part = await logs.read(key, at, end - at);
    if (part.bytes.length === 0 || part.offset >= end) break;
    part.bytes.copy(all, part.offset - from);
    at = part.offset + part.bytes.length;
  }
  return all;
}
