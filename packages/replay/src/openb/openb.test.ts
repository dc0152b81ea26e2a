import { ShapeTable, bestFitScorer, defaultScorer, fgdScorer, smallRandom, typicalMix } from "@muster/placement";
import { describe, expect, it } from "vitest";
import { allocationBound } from "./bound.ts";
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
});

describe("parseCsv", () => {
  it("reads rows by column, without a last empty line", () => {
    expect(parseCsv("a,b\n1,2\n3,\n")).toEqual([
      { a: "1", b: "2" },
      { a: "3", b: "" },
    ]);
  });
});
