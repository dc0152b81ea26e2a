import type { Partition } from "./partition.ts";
import type { Request, ResolvedVariant } from "./request.ts";

/** Of what the fastest device does for a job, what one of a partition does. */
export interface RelativeSpeed {
  variant: ResolvedVariant;
  partition: Partition;
  speed: number;
}

/** One kind of job: its speeds, and the devices that all of it asks. */
export interface Demand {
  devices: number;
  speeds: readonly RelativeSpeed[];
}

const ROUNDS = 32;
/** How far one round moves a price, falling with the rounds. */
const STEP = 0.6;
/** Kinds of jobs that prices are found for. */
const MOST = 2000;

/**
 * What a device of each partition is worth, in parts of the work that a job's fastest device does. Where all that jobs want
 * most is more than there is, its price rises until those who lose least by it want something else: then the same devices
 * do the most work (the dual of the assignment of demand to capacity).
 */
export class Scarcity {
  readonly #prices = new Map<Partition, number>();
  /** By request, as of the last refresh. */
  readonly speeds = new Map<Request, readonly RelativeSpeed[]>();
  #asOf = -Infinity;
  #version = -1;

  priceOf(partition: Partition): number {
    return this.#prices.get(partition) ?? 0;
  }

  /** Prices follow what is asked, at most once a second. */
  refresh(now: number, version: number, demands: () => Demand[]): void {
    if (version === this.#version && now < this.#asOf + 1000) return;
    this.#asOf = now;
    this.#version = version;
    this.speeds.clear();
    const asked = demands();
    const partitions = new Set(asked.flatMap(({ speeds }) => speeds.map((one) => one.partition)));
    for (const partition of this.#prices.keys()) if (!partitions.has(partition)) this.#prices.delete(partition);
    if (asked.length > MOST || partitions.size < 2) {
      this.#prices.clear();
      return;
    }
    for (let round = 0; round < ROUNDS; round++) {
      const wanted = new Map<Partition, number>();
      for (const { devices, speeds } of asked) {
        const best = this.#choice(speeds);
        if (best !== null) wanted.set(best, (wanted.get(best) ?? 0) + devices);
      }
      const step = STEP / (round + 2);
      for (const partition of partitions) {
        const excess = (wanted.get(partition) ?? 0) / Math.max(1, partition.totalDevices) - 1;
        this.#prices.set(partition, Math.max(0, this.priceOf(partition) + step * Math.max(-1, Math.min(1, excess))));
      }
    }
  }

  /** What is worth most beyond its price; nothing where all cost more than they are worth. */
  #choice(speeds: readonly RelativeSpeed[]): Partition | null {
    let best: Partition | null = null;
    let most = 0;
    for (const { partition, speed } of speeds) {
      const gain = speed - this.priceOf(partition);
      if (gain > most) {
        best = partition;
        most = gain;
      }
    }
    return best;
  }
}
