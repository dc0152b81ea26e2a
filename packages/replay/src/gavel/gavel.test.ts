import { describe, expect, it } from "vitest";
import { PythonRandom } from "../queueing/python-random.ts";
import { runEngine } from "./engine.ts";
import { fifoByRounds, lasByRounds, runRounds } from "./rounds.ts";
import { GAVEL_WINDOW, type GavelJob } from "./workload.ts";

describe("PythonRandom", () => {
  it("chooses what Python chooses", () => {
    const random = new PythonRandom(7);
    // random.seed(7); [random.choice(range(26)) for _ in range(6)]
    expect(Array.from({ length: 6 }, () => random.choice(Array.from({ length: 26 }, (_, i) => i)))).toEqual([10, 4, 12, 20, 1, 2]);
  });
});

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
  const drawn = (): number => random.random();
  it("takes in rounds at least as long as on the fastest device", () => {
    for (const policy of [fifoByRounds, lasByRounds(drawn)]) expect(runRounds(jobs, policy)).toBeGreaterThanOrEqual(1);
  });

  it("is done sooner where devices go to those who gain most by them", () => {
    expect(runEngine(jobs)).toBeLessThan(runRounds(jobs, lasByRounds(drawn)));
  });
});
