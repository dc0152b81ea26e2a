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
