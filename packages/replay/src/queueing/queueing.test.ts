import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { muster } from "./muster.ts";
import { PythonRandom } from "./python-random.ts";
import { easy, fifo, las, sjf, srsf, srtf } from "./references.ts";
import { simulate } from "./simulation.ts";
import type { Scheduler, TraceJob } from "./simulation.ts";
import { nearestRank, summarise } from "./summary.ts";

const OPTIONS = { nodes: 2, nodeDevices: 8, firstStartCosts: false };

function traceJob(submit: number, devices: number, runTime: number): TraceJob {
  return { submit, devices, runTime, tenant: "a", restartCost: 5, limit: runTime * 2 };
}

const SCHEDULERS: Record<string, () => Scheduler> = {
  fifo,
  sjf,
  srtf,
  srsf,
  las,
  easy: () => easy((job) => job.limit ?? Infinity),
  "muster, nothing known": () => muster("nothing", 2, 8),
  "muster, limits": () => muster("limits", 2, 8),
  "muster, run times": () => muster("runtimes", 2, 8),
};

const traces = fc.array(fc.record({ submit: fc.nat(2000), devices: fc.constantFrom(1, 2, 4, 8, 16), runTime: fc.integer({ min: 1, max: 5000 }) }), {
  minLength: 1,
  maxLength: 40,
});

describe.each(Object.entries(SCHEDULERS))("%s", (_name, make) => {
  it("ends every job, none before its run time, and never works more than there are devices", () => {
    fc.assert(
      fc.property(traces, (list) => {
        const jobs = list.map((entry) => traceJob(entry.submit, entry.devices, entry.runTime));
        const result = simulate(jobs, make(), OPTIONS);
        for (const job of result.jobs) {
          expect(job.finish - job.trace.submit).toBeGreaterThanOrEqual(job.trace.runTime - 1e-6);
          expect(job.firstStart).toBeGreaterThanOrEqual(job.trace.submit);
        }
        const work = jobs.reduce((sum, job) => sum + job.devices * job.runTime, 0);
        expect(work + result.lostDeviceSeconds).toBeLessThanOrEqual(16 * result.makespan + 1e-3);
        expect(summarise(result).preemptions).toBe(result.jobs.reduce((sum, job) => sum + job.preemptions, 0));
      }),
      { numRuns: 60 },
    );
  });
});

describe("schedulers on one full node", () => {
  const jobs = [traceJob(0, 16, 1000), traceJob(1, 16, 10), traceJob(2, 16, 500)];
  const ends = (scheduler: Scheduler): number[] => simulate(jobs, scheduler, OPTIONS).jobs.map((job) => job.finish);

  it("serve in their order, and a preempted job pays for its restart", () => {
    expect(ends(fifo())).toEqual([1000, 1010, 1510]);
    expect(ends(sjf())).toEqual([1000, 1010, 1510]);
    // Run 1 s; the 10 s and the 500 s job go first; then the restart and what is left.
    expect(ends(srtf())).toEqual([511 + 5 + 999, 11, 511]);
    // The engine leaves what has just started alone for 120 s.
    expect(ends(muster("runtimes", 2, 8))).toEqual([630 + 5 + 880, 130, 630]);
  });
});

describe("EASY", () => {
  it("starts a later job only where the head is not delayed by it", () => {
    const jobs = [traceJob(0, 8, 100), traceJob(1, 16, 10), traceJob(2, 8, 90), traceJob(3, 8, 300)];
    const starts = simulate(
      jobs,
      easy((job) => job.runTime!),
      OPTIONS,
    ).jobs.map((job) => job.firstStart);
    expect(starts).toEqual([0, 100, 2, 110]);
  });
});

describe("PythonRandom", () => {
  it("draws what Python draws", () => {
    const random = new PythonRandom(7);
    // random.seed(7); [random.random() for _ in range(3)]
    expect([random.random(), random.random(), random.random()]).toEqual([0.32383276483316237, 0.15084917392450192, 0.6509344730398537]);
  });
});

describe("nearestRank", () => {
  it("is the smallest value that enough do not exceed", () => {
    const values = Array.from({ length: 200 }, (_, i) => i + 1);
    expect(nearestRank(values, 0.99)).toBe(198);
    expect(nearestRank([5], 0.99)).toBe(5);
  });
});
