import type { OrderedJob } from './job.ts';
import { LearnedRunTimes, linearEdges, logarithmicEdges } from './learned-run-times.ts';

/** What the order may use: nothing but history, the user's limits, or true run times. */
export type Knowledge = 'nothing' | 'limits' | 'runtimes';

const SHORTEST = 15;
const LONGEST = 4_000_000;
/** Weight of the prior, in finished jobs. */
const PRIOR = 8;
const REFRESH_AFTER = 50;

/** Devices count a little less than in full: a wide job that ends frees much at once. */
const WIDTH_EXPONENT = 0.9;
/** How much a long wait brings a job forward; bounds the slowest percent at little cost to the mean. */
const AGE_EXPONENT = 0.1;
const AGE_FROM = 3600;

export interface ServiceOrderOptions {
  knowledge: Knowledge;
  widthExponent?: number;
  ageExponent?: number;
  hold?: number;
}

/**
 * Orders jobs by the device-seconds they are expected to need still, per expected completion: the least first.
 * With true run times that is shortest remaining service first; without, the Gittins index of the run times that
 * were seen, relative to the user's limit where there is one.
 */
export class ServiceOrder {
  readonly knowledge: Knowledge;
  readonly #learned = new Map<string, LearnedRunTimes>();
  readonly #all: LearnedRunTimes;
  #sinceRefresh = 0;
  readonly #o: ServiceOrderOptions;

  constructor(options: ServiceOrderOptions) {
    this.knowledge = options.knowledge;
    this.#o = options;
    this.#all = this.#fresh();
  }

  /** Lower goes first. A running job counts its restart in its own favour, so that a small gain preempts nothing. */
  key(job: OrderedJob, now: number, running: boolean): number {
    const remaining = this.remaining(job);
    const left = running ? Math.max(remaining - (this.#o.hold ?? 2) * job.restartCost, 0) : remaining;
    const age = AGE_FROM + Math.max(now - job.submittedAt, 0);
    return (left * job.devices ** (this.#o.widthExponent ?? WIDTH_EXPONENT)) / age ** (this.#o.ageExponent ?? AGE_EXPONENT);
  }

  /** Seconds still to run, as far as is known. */
  remaining(job: OrderedJob): number {
    if (this.knowledge === 'runtimes' && job.runTime !== undefined) return Math.max(job.runTime - job.ran, 0);
    const scale = this.#scale(job);
    return this.#for(job).index(job.ran / scale) * scale;
  }

  /** Seconds of further running after which the index of a running job jumps; Infinity where it only falls. */
  nextChange(job: OrderedJob): number {
    if (this.knowledge === 'runtimes' && job.runTime !== undefined) return Infinity;
    const scale = this.#scale(job);
    return this.#for(job).nextChange(job.ran / scale) * scale - job.ran;
  }

  /** Learns from a job that ran to its end. True where indexes of waiting jobs are out of date. */
  finished(job: OrderedJob): boolean {
    if (this.knowledge === 'runtimes' && job.runTime !== undefined) return false;
    const age = job.ran / this.#scale(job);
    this.#all.finished(age);
    const key = kindOf(job);
    const own = this.#learned.get(key) ?? this.#fresh();
    this.#learned.set(key, own);
    own.finished(age);
    if (++this.#sinceRefresh < REFRESH_AFTER) return false;
    this.#sinceRefresh = 0;
    this.#all.refresh();
    for (const learned of this.#learned.values()) learned.refresh();
    return true;
  }

  #scale(job: OrderedJob): number {
    return this.knowledge === 'limits' && job.limit !== undefined ? job.limit : 1;
  }

  #for(job: OrderedJob): LearnedRunTimes {
    const own = this.#learned.get(kindOf(job));
    return own !== undefined && own.weight >= 100 ? own : this.#all;
  }

  #fresh(): LearnedRunTimes {
    const edges = this.knowledge === 'limits' ? linearEdges(1, 25) : logarithmicEdges(SHORTEST, LONGEST, 1);
    return new LearnedRunTimes(edges, PRIOR);
  }
}

/** Jobs of like size run for like times. */
function kindOf(job: OrderedJob): string {
  return job.devices === 1 ? '1' : job.devices <= 4 ? '4' : job.devices <= 8 ? '8' : 'more';
}
