import type { Shape } from "./shape.ts";

export interface ExpectedShape {
  shape: Shape;
  /** Chance that the next arrival has this shape. */
  weight: number;
}

/**
 * Shapes by falling frequency until `coverage` of all arrivals is covered, weights made to add up to one.
 * FGD (USENIX ATC 2023) takes 95 % of a known list of jobs.
 */
export function typicalMix(counts: ReadonlyMap<Shape, number>, coverage: number, compare: (a: Shape, b: Shape) => number = compareShapes): ExpectedShape[] {
  let total = 0;
  for (const count of counts.values()) total += count;
  const order = [...counts].sort(([a, x], [b, y]) => y - x || compare(b, a));
  const mix: ExpectedShape[] = [];
  let covered = 0;
  for (const [shape, count] of order) {
    if (covered >= coverage * total) break;
    covered += count;
    mix.push({ shape, weight: count });
  }
  for (const entry of mix) entry.weight = entry.weight / total / (covered / total);
  return mix;
}

/** A fixed order of shapes, so that equal frequencies never make a result depend on arrival order. */
export function compareShapes(a: Shape, b: Shape): number {
  return a.cpu - b.cpu || a.share - b.share || a.devices - b.devices || a.memory - b.memory || a.id - b.id;
}
