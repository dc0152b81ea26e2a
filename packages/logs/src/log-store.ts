/** What became of bytes given to a store. Never an error of the store's own: logs must not break what writes them. */
export interface Appended {
  /** Where the next bytes are expected: everything before is kept or given up. */
  next: number;
  /** Bytes that were dropped, and why. */
  dropped: number;
  problem: string | null;
}

export interface LogPart {
  /** Where the bytes begin: later than asked for where earlier ones were dropped or rotated away. */
  offset: number;
  bytes: Buffer;
}

/**
 * Kept output, one append-only stream of bytes a key. Keys are relative paths (`logKey`). Each stream has one writer at a
 * time; anyone reads. Offsets are those of the worker's whole output, so what was dropped leaves a gap and moves nothing.
 */
export interface LogStore {
  /**
   * Keeps bytes at their offset. What is kept already is not kept twice; beyond the end, a gap is left. A full disk, or a
   * store that is away, drops the bytes and says so.
   */
  append(key: string, offset: number, bytes: Uint8Array): Promise<Appended>;
  /** At most `limit` bytes from `offset` on, from the first place at or after it that has any; none at the end. */
  read(key: string, offset: number, limit: number): Promise<LogPart>;
  /** The end: one past the last byte kept; 0 where there is none. */
  size(key: string): Promise<number>;
  /** Removes every stream whose key is the prefix or lies below it. */
  remove(prefix: string): Promise<void>;
  /** Applies retention, oldest first. @param now milliseconds since the epoch */
  prune(retention: LogRetention, now: number): Promise<Pruned>;
  close(): Promise<void>;
}

export interface LogRetention {
  /** Milliseconds since the last write; absent: for ever. */
  maxAge?: number;
  /** Bytes in all; absent: no limit. */
  maxTotal?: number;
}

export interface Pruned {
  files: number;
  bytes: number;
  left: number;
}

export interface LogLimits {
  /** Bytes of one stream: beyond, its oldest chunks go. */
  maxStream: number;
  /** Bytes of one chunk. */
  chunk: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = { maxStream: 1 << 30, chunk: 4 << 20 };
