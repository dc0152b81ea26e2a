/**
 * Nodes to keep ready beside those at work, so that in 99 of 100 windows as long as replenishment takes there are enough: the
 * 99th percentile of the binomial distribution, each node failing by itself (ByteRobust, SOSP 2025, section on warm standbys).
 * What fails together, as a rack does, is beyond it.
 * @param dailyRate failures of one node in a day, as measured
 * @param replenishDays days until a failed node, repaired and tested, or another in its place is ready again
 * @throws RangeError where a number makes no sense
 */
export function sparesNeeded(nodes: number, dailyRate: number, replenishDays: number): number {
  if (!Number.isInteger(nodes) || nodes < 0) throw new RangeError(`nodes is ${nodes}: expected a whole number, 0 or more`);
  if (!(dailyRate >= 0) || !Number.isFinite(dailyRate)) throw new RangeError(`dailyRate is ${dailyRate}: expected 0 or more`);
  if (!(replenishDays >= 0) || !Number.isFinite(replenishDays)) throw new RangeError(`replenishDays is ${replenishDays}: expected 0 or more`);
  const chance = Math.min(1, dailyRate * replenishDays);
  if (chance === 0) return 0;
  if (chance === 1) return nodes;
  // in logarithms, as the first terms of large clusters are too small for a double
  const odds = Math.log(chance) - Math.log1p(-chance);
  let term = nodes * Math.log1p(-chance);
  let within = Math.exp(term);
  let spares = 0;
  while (within < CONFIDENCE && spares < nodes) {
    term += Math.log(nodes - spares) - Math.log(spares + 1) + odds;
    within += Math.exp(term);
    spares++;
  }
  return spares;
}

const CONFIDENCE = 0.99;

/** What is known of how a pool's nodes break and come back, over so many node-days. */
export interface SpareRecord {
  nodes: number;
  nodeDays: number;
  failures: number;
  /** Days that each node which came back was away. */
  repairs: readonly number[];
}

export interface SparePlan {
  spares: number;
  dailyRate: number;
  replenishDays: number;
}

/** What is taken for known where little is: failures of a node in a day (Meta RSC, 2024), and days until one is back (StepFun's median). */
const ASSUMED = { dailyRate: 6.5 / 1000, replenishDays: 0.85, nodeDays: 100, repairs: 3 };

/** Spares from what was measured; what was assumed counts as much as 100 node-days and three repairs do. */
export function planSpares({ nodes, nodeDays, failures, repairs }: SpareRecord): SparePlan {
  const dailyRate = (failures + ASSUMED.dailyRate * ASSUMED.nodeDays) / (nodeDays + ASSUMED.nodeDays);
  const away = repairs.reduce((sum, days) => sum + days, 0);
  const replenishDays = (away + ASSUMED.replenishDays * ASSUMED.repairs) / (repairs.length + ASSUMED.repairs);
  return { spares: sparesNeeded(nodes, dailyRate, replenishDays), dailyRate, replenishDays };
}
