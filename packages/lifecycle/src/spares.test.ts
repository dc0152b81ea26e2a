import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planSpares, sparesNeeded } from "./spares.ts";

it.each([
  [128, 2],
  [256, 2],
  [512, 3],
  [1024, 4],
])("gives ByteRobust's published spares: of %s machines at 1.2 in 1,000 a day, %s", (nodes, spares) => {
  expect(sparesNeeded(nodes, 0.0012, 1)).toBe(spares);
});

it.each([
  [0.0038, 9, 2],
  [0.0042, 10, 2],
  [0.0065, 13, 3],
])("goes by the time to replenish: of 1,024 at %s a day, %s for a day and %s for two hours", (rate, day, twoHours) => {
  expect(sparesNeeded(1024, rate, 1)).toBe(day);
  expect(sparesNeeded(1024, rate, 1 / 12)).toBe(twoHours);
});

it("never falls when nodes, rate or time grow, and is never more than all", () => {
  const nodes = fc.integer({ min: 0, max: 20_000 });
  const rate = fc.double({ min: 0, max: 0.2, noNaN: true });
  const days = fc.double({ min: 0, max: 30, noNaN: true });
  fc.assert(
    fc.property(nodes, rate, days, (n, r, d) => {
      const spares = sparesNeeded(n, r, d);
      expect(spares).toBeLessThanOrEqual(n);
      expect(sparesNeeded(n + 1, r, d)).toBeGreaterThanOrEqual(spares);
      expect(sparesNeeded(n, r * 1.1, d)).toBeGreaterThanOrEqual(spares);
    }),
    { numRuns: 100 },
  );
});

it("needs none where nothing fails, and all where all do", () => {
  expect(sparesNeeded(100, 0, 1)).toBe(0);
  expect(sparesNeeded(100, 0.1, 10)).toBe(100);
});

it("refuses what makes no sense", () => {
  expect(() => sparesNeeded(1.5, 0.1, 1)).toThrow("nodes is 1.5");
  expect(() => sparesNeeded(1, -0.1, 1)).toThrow("dailyRate is -0.1");
  expect(() => sparesNeeded(1, 0.1, Infinity)).toThrow("replenishDays is Infinity");
});

describe("planSpares", () => {
  it("goes by what was measured as that grows, from what is published", () => {
    const unknown = planSpares({ nodes: 1024, nodeDays: 0, failures: 0, repairs: [] });
    expect(unknown).toMatchObject({ spares: 12, dailyRate: expect.closeTo(0.0065, 6), replenishDays: expect.closeTo(0.85, 6) });
    const { dailyRate, replenishDays, spares } = planSpares({ nodes: 1024, nodeDays: 28_000, failures: 34, repairs: Array.from({ length: 297 }, () => 1) });
    expect(dailyRate).toBeCloseTo(1.2 / 1000, 3);
    expect(replenishDays).toBeCloseTo(1, 2);
    // ByteRobust's table has 4 for its rate of 1.2 in a thousand machine-days
    expect(spares).toBe(4);
  });

  it("needs none for no nodes", () => expect(planSpares({ nodes: 0, nodeDays: 0, failures: 0, repairs: [] }).spares).toBe(0));
});
