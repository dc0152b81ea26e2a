import { describe, expect, it } from "vitest";
import { parityRun } from "./parity.ts";
import type { MuriJob } from "./trace.ts";

function job(submit: number, devices: number, seconds: number): MuriJob {
  return { submit, devices, iterations: seconds, iterationTime: 1, model: "unknown" };
}

describe("parityRun", () => {
  it("charges the running job its start time at every event, as the published simulator does", () => {
    // The second submission is an event at 100 s: the first job loses 10 s there and ends at 1,010 s.
    expect(parityRun([job(0, 1, 1000), job(100, 1, 2000)], "SRTF")[0]).toBe(1010);
    expect(parityRun([job(0, 1, 1000)], "SRTF")).toEqual([1000]);
  });

  it("lets the shorter job go first, by time or by service", () => {
    const jobs = [job(0, 64, 100), job(0, 32, 150)];
    expect(parityRun(jobs, "SRTF")[0]).toBeLessThan(parityRun(jobs, "SRTF")[1]!);
    expect(parityRun(jobs, "SRSF")[1]).toBeLessThan(parityRun(jobs, "SRSF")[0]!);
  });

  it("demotes a job by its attained device-seconds, so that a late one passes it", () => {
    const [first, late] = parityRun([job(0, 64, 1000), job(500, 64, 20)], "Tiresias_L");
    expect(late).toBe(20);
    expect(first).toBeGreaterThan(1020);
  });
});
