import { expect, it } from "vitest";
import { adviseInterval, meanTimeToFailure, suggestInterval } from "./checkpoint-interval.ts";

it.each([
  [1, 2.5],
  [5, 5.6],
  [30, 13.6],
  [60, 19.3],
])("suggests by the square root, of %s s at Llama 3's 3.09 h, %s min", (cost, minutes) => {
  expect(suggestInterval(cost, 3.09 * 3600) / 60).toBeCloseTo(minutes, 1);
});

it("loses less at the suggested interval than at half or twice of it", () => {
  const lost = (interval: number): number => 30 / interval + interval / (2 * 11_124);
  const best = suggestInterval(30, 11_124);
  expect(lost(best)).toBeLessThan(lost(best / 2));
  expect(lost(best)).toBeLessThan(lost(best * 2));
});

it("stays between the cost and the time between failures", () => {
  expect(suggestInterval(600, 100)).toBe(600);
  expect(suggestInterval(80, 100)).toBe(100);
  expect(suggestInterval(30, Infinity)).toBe(Infinity);
  expect(suggestInterval(0, 100)).toBe(0);
});

it("refuses what makes no sense", () => {
  expect(() => suggestInterval(-1, 100)).toThrow("cost is -1");
  expect(() => suggestInterval(Number.NaN, 100)).toThrow("cost is NaN");
  expect(() => suggestInterval(1, 0)).toThrow("meanTimeToFailure is 0");
  expect(() => meanTimeToFailure(0, 0.1)).toThrow("nodes is 0");
});

it("knows the mean time between failures of a job (Meta RSC: 1.8 h on 2,048 nodes, 0.23 h on 16,384)", () => {
  expect(meanTimeToFailure(2048, 0.0065) / 3600).toBeCloseTo(1.8, 1);
  expect(meanTimeToFailure(16_384, 0.0065) / 3600).toBeCloseTo(0.225, 2);
});

it("advises from what checkpoints cost and how often nodes fail, and not before something was measured", () => {
  expect(adviseInterval([], 128, 0.0065)).toBeNull();
  const advice = adviseInterval([29, 31, 30], 2048, 0.0065);
  expect(advice).toMatchObject({ cost: 30, measured: 3 });
  expect(advice?.interval).toBeCloseTo(Math.sqrt(2 * 30 * (86_400 / (2048 * 0.0065))), 6);
  // what costs next to nothing isn't done all the time
  expect(adviseInterval([0], 2048, 0.0065)?.interval).toBeCloseTo(Math.sqrt(2 * (86_400 / (2048 * 0.0065))), 6);
});
