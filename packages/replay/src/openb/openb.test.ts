import { PackingNodes, ShapeTable, WHOLE_DEVICE, bestFitScorer, defaultScorer, fgdScorer, shapeSize, smallRandom, typicalMix } from "@muster/placement";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allocationBound } from "./bound.ts";
import { allocationReached } from "./reached.ts";
import { inflate } from "./run.ts";
import type { Openb, OpenbArrivals } from "./trace.ts";
import { parseCsv } from "../traces.ts";

const table = new ShapeTable();
const SHAPES = [
  { cpu: 3000, memory: 4, devices: 1, share: 810, models: null },
  { cpu: 11_000, memory: 8, devices: 1, share: 1000, models: null },
  { cpu: 8000, memory: 8, devices: 1, share: 470, models: null },
  { cpu: 32_000, memory: 16, devices: 0, share: 0, models: null },
].map((need) => table.intern(need));

function small(): { openb: Openb; arrivals: OpenbArrivals } {
  const nodes = Array.from({ length: 10 }, () => ({ cpu: 64_000, memory: 256, devices: 4, model: 0 }));
  const random = smallRandom(5);
  const pods = Array.from({ length: 200 }, () => SHAPES[Math.floor(random() * SHAPES.length)]!);
  const typical = typicalMix(new Map(SHAPES.map((shape) => [shape, 1])), 1);
  const arrivals = { seed: 1, rows: Int32Array.from(pods, (_, i) => i), ranks: Int32Array.from(nodes, (_, i) => i) };
  return { openb: { nodes, pods, arrivals: [arrivals], typical }, arrivals };
}

describe("inflate", () => {
  it("allocates no more than arrived, offers every pod once, and never passes the bound", () => {
    const { openb, arrivals } = small();
    const bound = allocationBound(openb, arrivals);
    expect(bound).toBeLessThanOrEqual(100);
    for (const scorer of [bestFitScorer(), fgdScorer(openb.typical), defaultScorer()]) {
      const result = inflate(openb, arrivals, scorer);
      expect(result.placed + result.failed).toBe(openb.pods.length);
      for (const [arrived, allocated] of result.allocated) expect(allocated).toBeLessThanOrEqual(arrived + 1);
      expect(Math.max(...result.allocated.values())).toBeLessThanOrEqual(bound + 1e-9);
    }
  });
});

describe("allocationBound", () => {
  it("is tight where cpus run out and where sizes leave rests", () => {
    const { openb, arrivals } = small();
    const pods = Array.from({ length: 100 }, () => SHAPES[0]!);
    const bound = allocationBound({ ...openb, pods }, { ...arrivals, rows: Int32Array.from(pods, (_, i) => i) });
    expect(bound).toBeGreaterThanOrEqual(81 - 1e-9);
    expect(bound).toBeLessThan(82);
  });

  it("is never below the best of all plans, and no plan given as reached is above that", () => {
    const node = fc.record({
      cpu: fc.integer({ min: 2, max: 12 }),
      memory: fc.integer({ min: 4, max: 9 }),
      devices: fc.constantFrom(1, 2),
      model: fc.constantFrom(0, 1),
    });
    const need = fc.record({
      cpu: fc.integer({ min: 0, max: 8 }),
      memory: fc.integer({ min: 0, max: 5 }),
      size: fc.constantFrom([0, 0], [1, 300], [1, 470], [1, 805], [1, 1000], [2, 1000]),
      models: fc.constantFrom(null, new Set([1])),
    });
    fc.assert(
      fc.property(fc.array(node, { minLength: 1, maxLength: 2 }), fc.array(need, { minLength: 1, maxLength: 6 }), (nodes, needs) => {
        const shapeTable = new ShapeTable();
        const pods = needs.map(({ size: [devices, share], ...rest }) => shapeTable.intern({ ...rest, devices, share }));
        const openb: Openb = { nodes, pods, arrivals: [], typical: [] };
        const arrivals = { seed: 1, rows: Int32Array.from(pods, (_, i) => i), ranks: Int32Array.from(nodes, (_, i) => i) };
        const best = bestOfAll(openb);
        expect(allocationBound(openb, arrivals, 300)).toBeGreaterThanOrEqual(best - 1e-9);
        expect(allocationReached(openb, arrivals)).toBeLessThanOrEqual(best + 1e-9);
      }),
      { numRuns: 150, seed: 11 },
    );
  });
});

/** The largest allocated share over every way to place or refuse each job. */
function bestOfAll({ nodes, pods }: Openb): number {
  const table = new PackingNodes(nodes);
  let best = 0;
  const go = (at: number, allocated: number): void => {
    best = Math.max(best, allocated);
    const shape = pods[at];
    if (shape === undefined) return;
    go(at + 1, allocated);
    for (let n = 0; n < table.count; n++) {
      if (!table.fits(n, shape)) continue;
      const devices = shape.devices === 1 ? range(table.firstDevice[n]!, table.firstDevice[n + 1]!) : [-1];
      for (const device of devices) {
        if (device >= 0 && table.deviceFree[device]! < shape.share) continue;
        const taken = table.take(n, shape, device);
        go(at + 1, allocated + shapeSize(shape));
        table.release(n, shape, taken);
      }
    }
  };
  go(0, 0);
  return (100 * best) / (table.deviceFree.length * WHOLE_DEVICE);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

describe("parseCsv", () => {
  it("reads rows by column, without a last empty line", () => {
    expect(parseCsv("a,b\n1,2\n3,\n")).toEqual([
      { a: "1", b: "2" },
      { a: "3", b: "" },
    ]);
  });
});
