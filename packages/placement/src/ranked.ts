import type { JobRecord } from "./jobs.ts";

/** What decides the order, as it was when the job came. */
export interface Rank {
  priority: number;
  /** Key in a queue that goes by service, else 0. */
  need: number;
  submittedAt: number;
  sequence: number;
}

/** Within one queue: higher priority, then the lower key, then earlier submitted, then earlier seen. */
export function entryBefore(a: Rank, b: Rank): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.need !== b.need) return a.need < b.need;
  if (a.submittedAt !== b.submittedAt) return a.submittedAt < b.submittedAt;
  return a.sequence < b.sequence;
}

/** Changes that are kept beside the sorted entries before these are sorted anew. */
const LEAST_CHANGES = 32;

/** Entries of a lane in order, so that how many come before a job is known without a look at each. */
export class Ranked<E extends Rank & { job: JobRecord }> {
  #sorted: E[] | null = null;
  readonly #added = new Set<E>();
  readonly #gone = new Set<E>();

  add(entry: E): void {
    if (this.#sorted === null) return;
    this.#added.add(entry);
    this.#bound();
  }

  remove(entry: E): void {
    if (this.#sorted === null || this.#added.delete(entry)) return;
    this.#gone.add(entry);
    this.#bound();
  }

  #bound(): void {
    if (this.#added.size + this.#gone.size > Math.max(LEAST_CHANGES, this.#sorted!.length >> 3)) this.#sorted = null;
  }

  /** Their keys were taken anew. */
  resort(): void {
    this.#sorted = null;
  }

  /** How many come before a rank, and the first few of these. `all` may hold entries that are void. */
  before(own: Rank, all: readonly E[], most: number): { jobs: number; first: JobRecord[] } {
    if (this.#sorted === null) {
      this.#sorted = all.filter((entry) => entry.job.entry === (entry as Rank)).sort((a, b) => (entryBefore(a, b) ? -1 : 1));
      this.#added.clear();
      this.#gone.clear();
    }
    const sorted = this.#sorted;
    let from = 0;
    let to = sorted.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (entryBefore(sorted[middle]!, own)) from = middle + 1;
      else to = middle;
    }
    let jobs = from;
    for (const entry of this.#gone) if (entryBefore(entry, own)) jobs--;
    const first: JobRecord[] = [];
    for (let i = 0; i < from && first.length < most; i++) if (!this.#gone.has(sorted[i]!)) first.push(sorted[i]!.job);
    for (const entry of this.#added) {
      if (!entryBefore(entry, own)) continue;
      jobs++;
      first.push(entry.job);
    }
    return { jobs, first };
  }
}
