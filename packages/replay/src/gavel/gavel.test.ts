import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PythonRandom } from "../queueing/python-random.ts";
import { runEngine } from "./engine.ts";
import { maxMinShares, type Shares } from "./max-min.ts";
import { fifoAware, lasAware, lasBlind } from "./policies.ts";
import { runRounds } from "./rounds.ts";
import { GAVEL_WINDOW, type GavelJob } from "./workload.ts";

describe("PythonRandom", () => {
  it("chooses what Python chooses", () => {
    const random = new PythonRandom(7);
    // random.seed(7); [random.choice(range(26)) for _ in range(6)]
    expect(Array.from({ length: 6 }, () => random.choice(Array.from({ length: 26 }, (_, i) => i)))).toEqual([10, 4, 12, 20, 1, 2]);
  });
});

describe("maxMinShares", () => {
  it("gives everybody the same where all is alike, and what is left over to whom it helps", () => {
    const one = { count: 2, worth: [1, 1, 1] as const, devices: 1 };
    const two = { count: 1, worth: [2, 2, 2] as const, devices: 2 };
    const [ones, twos] = maxMinShares([one, two], [1, 1, 1]);
    for (const share of ones!) expect(share).toBeCloseTo(1 / 3, 3);
    for (const share of twos!) expect(share).toBeCloseTo(1 / 6, 3);
  });

  it("reaches the best least worth, as a search over a fine grid finds it", () => {
    const worth = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
    fc.assert(
      fc.property(worth, worth, (a, b) => {
        const shares = maxMinShares(
          [a, b].map((w) => ({ count: 1, worth: w, devices: 1 })),
          [1, 1, 0.5],
        );
        const worthOf = (w: Shares, x: Shares): number => w[0] * x[0] + w[1] * x[1] + w[2] * x[2];
        const least = Math.min(worthOf(a, shares[0]!), worthOf(b, shares[1]!));
        for (const [i, limit] of [1, 1, 0.5].entries()) expect(shares[0]![i]! + shares[1]![i]!).toBeLessThanOrEqual(limit + 1e-9);
        expect(least).toBeGreaterThan(byGrid(a, b) - 0.01);
      }),
      { numRuns: 30 },
    );
  });
});

/** Two jobs, one device of two kinds and half of one of the third: all shares in steps of an eighth. */
function byGrid(a: Shares, b: Shares): number {
  let best = 0;
  const steps = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => n / 8);
  for (const p of steps)
    for (const q of steps)
      for (const r of steps) {
        if (p + q + r > 1 || r > 0.5) continue;
        // The other gets the best of what is left, the kinds it likes most first.
        let left = 1;
        let other = 0;
        const rest = [1 - p, 1 - q, 0.5 - r];
        for (const k of [0, 1, 2].sort((i, j) => b[j]! - b[i]!)) {
          const share = Math.min(left, rest[k]!);
          left -= share;
          other += share * b[k]!;
        }
        best = Math.max(best, Math.min(a[0] * p + a[1] * q + a[2] * r, other));
      }
  return best;
}

/** Two kinds of jobs, one of which loses much on slower devices, at a load that the devices can do if each goes where it should. */
function mixed(): GavelJob[] {
  const random = new PythonRandom(1);
  let submit = 0;
  return Array.from({ length: GAVEL_WINDOW.to + 500 }, (_, id) => {
    submit += -Math.log(1 - random.random()) * 60;
    const even = random.random() < 0.5;
    return { id, submit, type: even ? "even" : "steep", devices: 1, steps: 3600, speed: even ? [1, 0.9, 0.8] : [1, 0.2, 0.05] };
  });
}

describe("Gavel's mix", () => {
  const jobs = mixed();
  const random = new PythonRandom(2);
  const blind = lasBlind(() => random.random());
  it("takes in rounds at least as long as on the fastest device, and less where the kinds are known", () => {
    for (const policy of [fifoAware, lasAware, blind]) expect(runRounds(jobs, policy)).toBeGreaterThanOrEqual(1);
    expect(runRounds(jobs, lasAware)).toBeLessThan(runRounds(jobs, blind));
  });

  it("is done sooner where devices go to those who gain most by them", () => {
    expect(runEngine(jobs, "arrival")).toBeLessThan(runRounds(jobs, blind));
  });
});
