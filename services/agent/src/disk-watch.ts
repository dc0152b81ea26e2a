import { statfsSync } from "node:fs";

/** Part and bytes that must be free; and twice of both until it has room again, so that it doesn't change its mind all the time. */
const PART = 0.01;
const BYTES = 64 << 20;

/** Tells when a file system that the agent needs runs full, and when it has room again. */
export class DiskWatch {
  private readonly full = new Set<string>();
  private readonly free: (path: string) => { free: number; total: number };

  constructor(free: (path: string) => { free: number; total: number } = freeOf) {
    this.free = free;
  }

  take(paths: readonly string[]): string[] {
    return paths.flatMap((path) => {
      let [free, total] = [0, 0];
      try {
        ({ free, total } = this.free(path));
      } catch {
        return [];
      }
      const least = Math.min(total * PART, BYTES);
      if (!this.full.has(path) && free < least) {
        this.full.add(path);
        return [`disk ${path} is full: ${((100 * free) / total).toFixed(1)} % free`];
      }
      return this.full.has(path) && free >= 2 * least && this.full.delete(path) ? [`disk ${path} has room again`] : [];
    });
  }
}

function freeOf(path: string): { free: number; total: number } {
  const { bavail, blocks, bsize } = statfsSync(path);
  return { free: bavail * bsize, total: blocks * bsize };
}
