import { ShapeTable } from "./shape.ts";
import type { Shape } from "./shape.ts";

export interface ExpectedShape {
  shape: Shape;
  /** Chance that the next arrival has this shape. */
  weight: number;
}

/** The same shapes with memory left out, as FGD sees them. Ids are those of a table of their own. */
export function withoutMemory(counts: ReadonlyMap<Shape, number>): Map<Shape, number> {
  const table = new ShapeTable();
  const merged = new Map<Shape, number>();
  for (const [shape, count] of counts) {
    const bare = table.intern({ ...shape, memory: 0 });
    merged.set(bare, (merged.get(bare) ?? 0) + count);
  }
  return merged;
}

/**
 * Shapes by falling frequency until `coverage` of all arrivals is covered, weights made to add up to one.
 * FGD (USENIX ATC 2023) takes 95 % of a known list of jobs.
 */
export function typicalMix(counts: ReadonlyMap<Shape, number>, coverage: number): ExpectedShape[] {
  let total = 0;
  for (const count of counts.values()) total += count;
  const order = [...counts].sort(([a, x], [b, y]) => y - x || compareShapes(b, a));
  const mix: ExpectedShape[] = [];
  let covered = 0;
  for (const [shape, count] of order) {
    if (covered >= coverage * total) break;
    covered += count;
    mix.push({ shape, weight: count });
  }
  for (const entry of mix) entry.weight /= covered;
  return mix;
}

/** A fixed order of shapes, so that equal frequencies never make a result depend on arrival order. */
function compareShapes(a: Shape, b: Shape): number {
  return a.cpu - b.cpu || a.share - b.share || a.devices - b.devices || a.memory - b.memory || a.id - b.id;
}
