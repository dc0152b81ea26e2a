import { expect, it } from "vitest";
import { costOf } from "./phases.ts";

it("reads the phases of a recovery in their order, each as a part of the whole", () => {
  const cost = costOf({ cost: { device_seconds: 7200, attempts: 2, phases: { redo: 30, detect: 10, place: 0 } } });
  expect(cost).toMatchObject({ deviceHours: 2, attempts: 2, seconds: 40 });
  expect(cost.bars.map(({ phase, seconds, part }) => [phase, seconds, part])).toEqual([
    ["detect", 10, 25],
    ["place", 0, 0],
    ["redo", 30, 75],
  ]);
});

it("takes nothing from what it doesn't know", () => {
  expect(costOf({ cost: {} })).toEqual({ deviceHours: null, attempts: null, seconds: 0, bars: [] });
  expect(costOf({ cost: { device_seconds: "much", phases: { detect: "long", start: -1, other: 5 } } })).toEqual({
    deviceHours: null,
    attempts: null,
    seconds: 0,
    bars: [],
  });
});
