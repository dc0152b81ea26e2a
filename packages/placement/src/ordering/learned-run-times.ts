/** Edges of the buckets of a job's age, as a multiple of its scale. The last bucket is open. */
export type Edges = Float64Array;

export function logarithmicEdges(from: number, to: number, perOctave: number): Edges {
  const count = Math.ceil(Math.log2(to / from) * perOctave);
  return Float64Array.from({ length: count + 2 }, (_, i) => (i === 0 ? 0 : from * 2 ** ((i - 1) / perOctave)));
}

export function linearEdges(to: number, count: number): Edges {
  return Float64Array.from({ length: count + 1 }, (_, i) => (to * i) / count);
}

/**
 * Run times of finished jobs of one kind, and from them the Gittins index: for a job of a given age, the least
 * expected further running per expected completion, over all lengths of the next slice (Gittins 1979). It is the
 * optimal order for the mean completion time where only the distribution is known.
 */
export class LearnedRunTimes {
  readonly edges: Edges;
  readonly #finished: Float64Array;
  #index: Float64Array | null = null;
  /** Finished jobs counted, the prior included. */
  weight: number;

  /** Before anything has finished every bucket is as likely as another, with the weight of `prior` jobs in all. */
  constructor(edges: Edges, prior: number) {
    this.edges = edges;
    this.#finished = new Float64Array(edges.length).fill(prior / edges.length);
    this.weight = prior;
  }

  bucketOf(age: number): number {
    let low = 0;
    let high = this.edges.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.edges[middle]! <= age) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Counts a finished job by its whole run time. `refresh` makes it felt. */
  finished(runTime: number): void {
    this.#finished[this.bucketOf(runTime)]! += 1;
    this.weight += 1;
  }

  refresh(): void {
    this.#index = null;
  }

  /** Age at which the index changes next; Infinity in the last bucket. */
  nextChange(age: number): number {
    return this.edges[this.bucketOf(age) + 1] ?? Infinity;
  }

  /** Expected further running per expected completion at this age, in the unit of the edges. */
  index(age: number): number {
    this.#index ??= this.#computed();
    return this.#index[this.bucketOf(age)]!;
  }

  #computed(): Float64Array {
    const { edges } = this;
    const last = edges.length - 1;
    const index = new Float64Array(edges.length);
    for (let from = 0; from <= last; from++) {
      let alive = 0;
      for (let b = from; b <= last; b++) alive += this.#finished[b]!;
      let left = alive;
      let running = 0;
      let best = Infinity;
      for (let b = from; b <= last; b++) {
        const width = (b < last ? edges[b + 1]! : 2 * edges[b]!) - edges[b]!;
        const ending = this.#finished[b]!;
        // Those that end in a bucket end halfway through it on average.
        running += (left - ending / 2) * width;
        left -= ending;
        best = Math.min(best, running / (alive - left));
      }
      index[from] = best;
    }
    return index;
  }
}
