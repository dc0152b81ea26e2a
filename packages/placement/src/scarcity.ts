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

const ROUNDS = 128;
/** How far one round moves a price, falling with the rounds. */
const STEP = 0.6;
/** A round that moves no price further is the last. */
const SETTLED = 1e-3;
/** Kinds of jobs that prices are found for. */
const MOST = 2000;
/** Prices follow what is asked, at most this often. */
const PAUSE_MS = 1000;

/**
 * What a device of each partition is worth, in parts of the work that a job's fastest device does. Where all that jobs want
 * most is more than there is, its price rises until those who lose least by it want something else: then the same devices
 * do the most work (the dual of the assignment of demand to capacity).
 */
export class Scarcity {
  readonly #prices = new Map<Partition, number>();
  /** By request, as of a version of partitions and of prices. */
  readonly speeds = new WeakMap<Request, { placer: number; prices: number; speeds: readonly RelativeSpeed[] }>();
  /** Raised when prices were found anew. */
  version = 0;
  #asOf = -Infinity;
  #of = "";

  priceOf(partition: Partition): number {
    return this.#prices.get(partition) ?? 0;
  }

  /** When prices will follow what is asked now (`of` tells one state of it from another), if they do not yet. */
  followsAt(of: string): number {
    return of === this.#of ? Infinity : this.#asOf + PAUSE_MS;
  }

  refresh(now: number, of: string, demands: () => Demand[]): void {
    if (now < this.followsAt(of)) return;
    this.#asOf = now;
    this.#of = of;
    this.version++;
    const asked = demands();
    const partitions = [...new Set(asked.flatMap(({ speeds }) => speeds.map((one) => one.partition)))];
    const prices = asked.length > MOST || partitions.length < 2 ? [] : settle(asked, partitions, (partition) => this.priceOf(partition));
    this.#prices.clear();
    for (const [i, price] of prices.entries()) this.#prices.set(partitions[i]!, price);
  }
}

/** Prices by which every partition is wanted as much as there is of it, found from those before. */
function settle(asked: readonly Demand[], partitions: readonly Partition[], before: (partition: Partition) => number): Float64Array {
  const at = new Map(partitions.map((partition, i) => [partition, i]));
  const prices = Float64Array.from(partitions, before);
  const wanted = new Float64Array(partitions.length);
  // Where each job may run, one after the other: from `starts[d]` up to `starts[d + 1]`.
  const starts = new Int32Array(asked.length + 1);
  for (const [d, { speeds }] of asked.entries()) starts[d + 1] = starts[d]! + speeds.length;
  const where = Int32Array.from(
    asked.flatMap(({ speeds }) => speeds),
    (one) => at.get(one.partition)!,
  );
  const speed = Float64Array.from(
    asked.flatMap(({ speeds }) => speeds),
    (one) => one.speed,
  );
  for (let round = 0; round < ROUNDS; round++) {
    wanted.fill(0);
    for (let d = 0; d < asked.length; d++) {
      // What is worth most beyond its price; nothing where all cost more than they are worth.
      let best = -1;
      let most = 0;
      for (let i = starts[d]!; i < starts[d + 1]!; i++) {
        const gain = speed[i]! - prices[where[i]!]!;
        if (gain > most) {
          best = where[i]!;
          most = gain;
        }
      }
      if (best >= 0) wanted[best]! += asked[d]!.devices;
    }
    const step = STEP / (round + 2);
    let moved = 0;
    for (const [i, partition] of partitions.entries()) {
      const excess = wanted[i]! / Math.max(1, partition.totalDevices) - 1;
      const price = Math.max(0, prices[i]! + step * Math.max(-1, Math.min(1, excess)));
      moved = Math.max(moved, Math.abs(price - prices[i]!));
      prices[i] = price;
    }
    if (moved < SETTLED) break;
  }
  return prices;
}
