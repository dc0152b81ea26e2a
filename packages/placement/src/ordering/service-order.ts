import type { OrderedJob } from "./job.ts";
import { LearnedRunTimes, linearEdges, logarithmicEdges } from "./learned-run-times.ts";

/** What the order may use: nothing but history, the user's limits, or true run times. */
export type Knowledge = "nothing" | "limits" | "runtimes";

const SHORTEST = 15;
const LONGEST = 4_000_000;
/** Weight of the prior, in finished jobs. */
const PRIOR = 8;
const REFRESH_AFTER = 50;

interface Weights {
  /** Power of the number of devices: below one, a wide job that ends frees much at once. */
  width: number;
  /** How much a long wait brings a job forward. */
  age: number;
  /**
   * Need that counts at most: so many root mean squares of what finished jobs took, but not less than so many hours
   * of the whole cluster. Beyond it jobs go by their age, else large ones share the cluster in turns and all end late.
   */
  cap: number;
  capHours: number;
}

/** What little is known of a job must weigh less than its age; what is known for certain needs almost no ageing. */
const WEIGHTS: Record<Knowledge, Weights> = {
  nothing: { width: 0.9, age: 0.1, cap: 1, capHours: 4 },
  limits: { width: 0.7, age: 0.15, cap: 0.25, capHours: 1 },
  runtimes: { width: 1, age: 0.02, cap: Infinity, capHours: Infinity },
};
/** Ages below this count as this, in seconds. */
const YOUNG = 3600;
/** A running job's need counts less by so many of its restarts, so that a small gain preempts nothing. */
const HOLD_RESTARTS = 5;

/**
 * Orders jobs by the device-seconds they are expected to need still, per expected completion: the least first.
 * With true run times that is shortest remaining service first; without, the Gittins index of the run times that
 * were seen, relative to the user's limit where there is one.
 */
export class ServiceOrder {
  readonly knowledge: Knowledge;
  clusterDevices: number;
  readonly #learned = new Map<string, LearnedRunTimes>();
  readonly #all: LearnedRunTimes;
  #sinceRefresh = 0;
  #served = 0;
  #squares = 0;
  readonly #weights: Weights;

  /** `clusterDevices`: devices of the cluster, to tell what is large for it. */
  constructor(knowledge: Knowledge, clusterDevices: number) {
    this.clusterDevices = clusterDevices;
    this.knowledge = knowledge;
    this.#weights = WEIGHTS[knowledge];
    this.#all = this.#fresh();
  }

  /** Lower goes first. Device-seconds, brought down by age. */
  key(job: OrderedJob, now: number, running: boolean): number {
    const { width, age } = this.#weights;
    const remaining = this.remaining(job);
    const left = running ? Math.max(remaining - HOLD_RESTARTS * job.restartCost, 0) : remaining;
    const need = Math.min(left * job.devices ** width, this.#largest());
    return need / Math.max(now - job.submittedAt, YOUNG) ** age;
  }

  /** Seconds still to run, as far as is known. */
  remaining(job: OrderedJob): number {
    // Who runs longer than was said is expected to do so for as long again as it is late.
    if (this.knowledge === "runtimes" && job.runTime !== undefined) return Math.abs(job.runTime - job.ran);
    const scale = this.#scale(job);
    return this.#for(job).index(job.ran / scale) * scale;
  }

  /** Seconds of further running after which the index of a running job jumps; Infinity where it only falls. */
  nextChange(job: OrderedJob): number {
    if (this.knowledge === "runtimes" && job.runTime !== undefined) return Infinity;
    const scale = this.#scale(job);
    return this.#for(job).nextChange(job.ran / scale) * scale - job.ran;
  }

  /** Learns from a job that ran to its end. True where keys of waiting jobs are out of date. */
  finished(job: OrderedJob): boolean {
    if (this.knowledge === "runtimes" && job.runTime !== undefined) return false;
    this.#served++;
    this.#squares += (job.ran * job.devices) ** 2;
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

  #largest(): number {
    if (this.#served === 0) return Infinity;
    const { cap, capHours } = this.#weights;
    return Math.max(cap * Math.sqrt(this.#squares / this.#served), capHours * 3600 * this.clusterDevices);
  }

  #scale(job: OrderedJob): number {
    return this.knowledge === "limits" && job.limit !== undefined ? job.limit : 1;
  }

  #for(job: OrderedJob): LearnedRunTimes {
    const own = this.#learned.get(kindOf(job));
    return own !== undefined && own.weight >= 100 ? own : this.#all;
  }

  #fresh(): LearnedRunTimes {
    const edges = this.knowledge === "limits" ? linearEdges(1, 25) : logarithmicEdges(SHORTEST, LONGEST, 1);
    return new LearnedRunTimes(edges, PRIOR);
  }
}

/** Jobs of like size run for like times. */
function kindOf(job: OrderedJob): string {
  return job.devices === 1 ? "1" : job.devices <= 4 ? "4" : job.devices <= 8 ? "8" : "more";
}
