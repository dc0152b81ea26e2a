import { median } from "./hang.ts";

/**
 * Seconds between two checkpoints at which least time is lost, by the first order of Young (CACM 17(9), 1974) and Daly (FGCS
 * 22(3), 2006): the square root of twice the cost times the mean time between failures. Never less than the cost itself, and
 * never more than that mean time, beyond which the approximation doesn't hold.
 * @param cost seconds that work stands still for one checkpoint; of one written beside the work, only what blocks
 * @param meanTimeToFailure seconds, of the whole job: that of one node divided by its nodes
 * @throws RangeError where either isn't a number that makes sense
 */
export function suggestInterval(cost: number, meanTimeToFailure: number): number {
  if (!(cost >= 0) || !Number.isFinite(cost)) throw new RangeError(`cost is ${cost}: expected seconds, 0 or more`);
  if (!(meanTimeToFailure > 0)) throw new RangeError(`meanTimeToFailure is ${meanTimeToFailure}: expected seconds, more than 0`);
  return Math.max(cost, Math.min(meanTimeToFailure, Math.sqrt(2 * cost * meanTimeToFailure)));
}

/** What is measured can't be told from nothing below this; seconds. */
const LEAST_COST = 1;

export interface IntervalAdvice {
  /** Seconds that one checkpoint holds the job up: the median of those measured. */
  cost: number;
  measured: number;
  meanTimeToFailure: number;
  interval: number;
}

/**
 * How often a job should checkpoint, from what its last checkpoints cost and how often nodes of its pool fail; null where nothing was
 * measured yet.
 */
export function adviseInterval(costs: readonly number[], nodes: number, dailyRate: number): IntervalAdvice | null {
  if (costs.length === 0) return null;
  const cost = median(costs);
  const mean = meanTimeToFailure(nodes, dailyRate);
  return { cost, measured: costs.length, meanTimeToFailure: mean, interval: suggestInterval(Math.max(LEAST_COST, cost), mean) };
}

/**
 * Seconds between failures of a job.
 * @param dailyRate failures of one node in a day, as measured
 */
export function meanTimeToFailure(nodes: number, dailyRate: number): number {
  if (!(nodes > 0) || !(dailyRate >= 0)) throw new RangeError(`nodes is ${nodes} and dailyRate ${dailyRate}: expected more than 0, and 0 or more`);
  return 86_400 / (nodes * dailyRate);
}
