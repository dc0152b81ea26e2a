import type { JobRecord } from "./jobs.ts";

/** Jobs that hold something, also by node, so that whoever looks at some nodes need not walk through all jobs. */
export class Holders implements Iterable<JobRecord> {
  readonly #nodesOf = new Map<JobRecord, readonly number[]>();
  readonly #byNode: JobRecord[][] = [];
  /** Those that span zones; null where the fabric was laid out anew and nobody has asked since. */
  #crossing: Set<JobRecord> | null = null;
  readonly #crosses: (job: JobRecord) => boolean;

  /** `crosses`: whether the places of a job are in several zones. */
  constructor(crosses: (job: JobRecord) => boolean) {
    this.#crosses = crosses;
  }

  get size(): number {
    return this.#nodesOf.size;
  }

  [Symbol.iterator](): IterableIterator<JobRecord> {
    return this.#nodesOf.keys();
  }

  /** Also where its places have changed. */
  add(job: JobRecord): void {
    this.#leave(job);
    const nodes: number[] = [];
    for (const { members } of job.placement!.roles) {
      for (const { node } of members) {
        const here = (this.#byNode[node] ??= []);
        if (here.at(-1) === job || here.includes(job)) continue;
        here.push(job);
        nodes.push(node);
      }
    }
    this.#nodesOf.set(job, nodes);
    if (this.#crossing !== null) if (this.#crosses(job)) this.#crossing.add(job);
  }

  delete(job: JobRecord): void {
    this.#leave(job);
    this.#nodesOf.delete(job);
  }

  on(node: number): readonly JobRecord[] {
    return this.#byNode[node] ?? NONE;
  }

  /** The fabric changed: who spans zones is looked at anew. */
  relaid(): void {
    this.#crossing = null;
  }

  /** How many span zones. */
  get crossing(): number {
    if (this.#crossing === null) {
      this.#crossing = new Set();
      for (const job of this) if (this.#crosses(job)) this.#crossing.add(job);
    }
    return this.#crossing.size;
  }

  #leave(job: JobRecord): void {
    for (const node of this.#nodesOf.get(job) ?? NONE) {
      const here = this.#byNode[node]!;
      here[here.indexOf(job)] = here[here.length - 1]!;
      here.pop();
    }
    this.#crossing?.delete(job);
  }
}

const NONE: readonly never[] = [];
