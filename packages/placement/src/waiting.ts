import type { Request } from "./request.ts";
import type { QueueNode } from "./quota.ts";
import type { JobRecord } from "./jobs.ts";
import { entryBefore, Ranked, type Rank } from "./ranked.ts";

/** Higher priority, then within one queue that goes by service the lower key, then earlier submitted, then earlier seen. */
export function before(a: JobRecord, b: JobRecord): boolean {
  if (a.input.priority !== b.input.priority) return a.input.priority > b.input.priority;
  if (a.queue === b.queue && a.need !== b.need) return a.need < b.need;
  if (a.input.submittedAt !== b.input.submittedAt) return a.input.submittedAt < b.input.submittedAt;
  return a.sequence < b.sequence;
}

/** A binary heap under a fixed order. */
export class Heap<T> {
  readonly #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;

  constructor(order: (a: T, b: T) => boolean) {
    this.#before = order;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!this.#before(item, items[up]!)) break;
      items[at] = items[up]!;
      at = up;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#before(items[child + 1]!, items[child]!)) child++;
      if (!this.#before(items[child]!, last)) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return first;
  }

  /** Drops what does not pass, and puts the rest in order again. */
  keep(passes: (item: T) => boolean): void {
    const kept = this.#items.filter(passes);
    this.#items.length = 0;
    for (const item of kept) this.push(item);
  }

  values(): readonly T[] {
    return this.#items;
  }
}

/** What a lane was turned down for, and what must change before it is worth another look. */
export interface Blocked {
  kind: "quota" | "capacity" | "no_pool" | "order";
  /** Quota ruled out some of its choices, so freed quota is worth a look too. */
  byQuota: boolean;
  /** Sum of `freed` over the partitions it may use. */
  capacityFreed: number;
  quotaFreed: number;
  /** Version of the quota tree: other shares may make other victims. */
  version: number;
  /** Version of the prices that its jobs go by; 0 where they go by none. */
  prices: number;
  /** From then on, running jobs that were protected may be evicted. */
  until: number;
}

/** A job's place in a lane; void once the job points to another or to none. */
export interface Entry extends Rank {
  job: JobRecord;
  lane: Lane;
}

/** Waiting jobs of one queue with one request: they fit in the same places, so only the first is ever tried. */
export class Lane {
  readonly queue: QueueNode;
  readonly request: Request;
  blocked: Blocked | null = null;
  blockedSince = 0;
  /** First cycle in which victims are looked for again, and the pause after the last search. */
  searchFrom = 0;
  pause = 0;
  size = 0;
  /** Whether its jobs could ever start, and as of when. */
  ever = true;
  everAt = -1;
  /** When the keys of its jobs were taken, and what was learned by then. */
  keyedAt = 0;
  keyedVersion = 0;
  /** Its job under consideration in a cycle. */
  turn: JobRecord | null = null;
  readonly #heap = new Heap<Entry>(entryBefore);
  /** The one that goes first, so that most cycles need not look for it; undefined where it must be looked for. */
  #first: Entry | null | undefined;
  readonly #ranked = new Ranked<Entry>();
  /** The least time that any of its jobs runs that came since it was opened. */
  #shortest = Infinity;

  constructor(queue: QueueNode, request: Request) {
    this.queue = queue;
    this.request = request;
  }

  add(job: JobRecord): void {
    const { priority, submittedAt } = job.input;
    const first = this.head();
    job.entry = { job, lane: this, priority, need: job.need, submittedAt, sequence: job.sequence };
    this.#ranked.add(job.entry);
    this.size++;
    this.#heap.push(job.entry);
    const ends = Math.min(job.input.expectedDuration ?? Infinity, job.input.timeLimit ?? Infinity);
    const endsFirst = ends < this.#shortest;
    if (endsFirst) this.#shortest = ends;
    if (first !== null && !entryBefore(job.entry, first.entry!)) {
      // It may fit before what the others would run into. Where keys tell who goes first, they tell this too.
      if (endsFirst && job.need === 0) this.blocked = null;
      return;
    }
    this.#first = job.entry;
    // What its first job was turned down for need not hold for one that goes before it, least of all for a more urgent one.
    if (first !== null && priority > first.input.priority) this.opened();
    else this.blocked = null;
  }

  remove(job: JobRecord): void {
    this.#ranked.remove(job.entry!);
    if (this.#first === job.entry) this.#first = undefined;
    job.entry = null;
    this.size--;
    // Void entries go when they come to the top; of those below only so many are kept.
    if (this.#heap.size > 2 * this.size + 64) this.#heap.keep((entry) => entry.job.entry === entry);
  }

  /** One of its jobs got its place. */
  opened(): void {
    this.blocked = null;
    this.searchFrom = 0;
    this.pause = 0;
    this.#shortest = Infinity;
  }

  /** The job that goes first; jobs that left are dropped on the way. */
  head(): JobRecord | null {
    if (this.#first === undefined) this.#first = this.#look();
    return this.#first?.job ?? null;
  }

  #look(): Entry | null {
    for (let entry = this.#heap.peek(); entry !== undefined; entry = this.#heap.peek()) {
      if (entry.job.entry === entry) return entry;
      this.#heap.pop();
    }
    return null;
  }

  /** Takes the keys of all its jobs anew. */
  rekey(key: (job: JobRecord) => number): void {
    for (const job of this.jobs()) {
      job.need = key(job);
      job.entry!.need = job.need;
    }
    this.#heap.keep((entry) => entry.job.entry === entry);
    this.#ranked.resort();
    this.#first = undefined;
    this.blocked = null;
  }

  /** How many jobs come before one, and the first few of these; of another queue's by priority alone where that goes by service. */
  before(job: JobRecord, most: number): { jobs: number; first: JobRecord[] } {
    const need = job.queue === this.queue ? job.need : this.queue.input.order === "least_service" ? -Infinity : 0;
    const own = { priority: job.input.priority, need, submittedAt: job.input.submittedAt, sequence: job.sequence };
    return this.#ranked.before(own, this.#heap.values(), most);
  }

  /** The first that passes, of those after the head. */
  firstWhere(passes: (job: JobRecord) => boolean): JobRecord | null {
    let first: Entry | null = null;
    for (const entry of this.#heap.values()) {
      if (entry.job.entry !== entry || entry === this.#first || (first !== null && !entryBefore(entry, first)) || !passes(entry.job)) continue;
      first = entry;
    }
    return first?.job ?? null;
  }

  /** All waiting jobs, unordered. */
  jobs(): JobRecord[] {
    const jobs: JobRecord[] = [];
    for (const entry of this.#heap.values()) if (entry.job.entry === entry) jobs.push(entry.job);
    return jobs;
  }
}
