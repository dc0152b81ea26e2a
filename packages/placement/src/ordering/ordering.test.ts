import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stand } from "./floor.ts";
import type { OrderedJob } from "./job.ts";
import { LearnedRunTimes, linearEdges, logarithmicEdges } from "./learned-run-times.ts";
import { planRun } from "./run-plan.ts";
import type { StandingJob } from "./run-plan.ts";
import { ServiceOrder } from "./service-order.ts";
import { WaitingJobs } from "./waiting-jobs.ts";

function job(id: number, devices: number, runTime: number, more: Partial<OrderedJob> = {}): OrderedJob {
  return { id, devices, submittedAt: 0, tenant: "a", runTime, ran: 0, restartCost: 10, ...more };
}

describe("stand", () => {
  it("takes the tightest node, and whole idle nodes for wide gangs", () => {
    expect(stand(Int32Array.of(8, 3, 5), 8, 3)).toEqual({ nodes: [1], devices: [3] });
    expect(stand(Int32Array.of(8, 3, 8), 8, 16)).toEqual({ nodes: [0, 2], devices: [8, 8] });
    expect(stand(Int32Array.of(8, 5, 8), 8, 12)).toEqual({ nodes: [0, 1], devices: [8, 4] });
    expect(stand(Int32Array.of(7, 7, 7), 8, 8)).toBeNull();
  });
});

describe("LearnedRunTimes", () => {
  it("expects little more of the young and much of the old where most jobs are short", () => {
    const learned = new LearnedRunTimes(logarithmicEdges(10, 100_000, 1), 1);
    for (let i = 0; i < 1000; i++) learned.finished(i % 10 === 0 ? 50_000 : 20);
    learned.refresh();
    expect(learned.index(0)).toBeLessThan(100);
    expect(learned.index(5000)).toBeGreaterThan(10_000);
  });

  it("has a finite index above 0 at every age, whatever was seen", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 2, noNaN: true })), fc.double({ min: 0, max: 3, noNaN: true }), (seen, age) => {
        const learned = new LearnedRunTimes(linearEdges(1, 25), 8);
        for (const runTime of seen) learned.finished(runTime);
        expect(learned.index(age)).toBeGreaterThan(0);
        expect(learned.index(age)).toBeLessThan(Infinity);
        expect(learned.nextChange(age)).toBeGreaterThan(age);
      }),
    );
  });
});

describe("ServiceOrder", () => {
  it("puts the least remaining service first where run times are known, and prefers what runs among equals", () => {
    const order = new ServiceOrder("runtimes", 64);
    const short = job(1, 1, 100);
    const wide = job(2, 8, 100);
    expect(order.key(short, 0, false)).toBeLessThan(order.key(wide, 0, false));
    expect(order.key(wide, 0, true)).toBeLessThan(order.key(wide, 0, false));
    expect(order.key({ ...wide, ran: 90 }, 0, false)).toBeLessThan(order.key(wide, 0, false));
  });

  it("does not look at run times in the classes that must not know them", () => {
    for (const knowledge of ["nothing", "limits"] as const) {
      const order = new ServiceOrder(knowledge, 64);
      const a = job(1, 4, 100, { limit: 1000 });
      const b = job(1, 4, 90_000, { limit: 1000 });
      expect(order.key(a, 50, false)).toBe(order.key(b, 50, false));
    }
    const order = new ServiceOrder("nothing", 64);
    expect(order.key(job(1, 4, 1, { limit: 10 }), 0, false)).toBe(order.key(job(1, 4, 1, { limit: 10_000 }), 0, false));
  });

  it("lets a longer wait bring a job forward, in every class", () => {
    for (const knowledge of ["nothing", "limits", "runtimes"] as const) {
      const order = new ServiceOrder(knowledge, 64);
      const waiting = job(1, 4, 5000, { limit: 9000 });
      expect(order.key(waiting, 900_000, false)).toBeLessThan(order.key(waiting, 1000, false));
    }
  });
});

describe("WaitingJobs", () => {
  it("gives jobs in order of their keys, but for blocked sizes", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ devices: fc.constantFrom(1, 2, 8), runTime: fc.nat(20) })), fc.constantFrom(1, 2, 8), (list, blocked) => {
        const waiting = new WaitingJobs((j) => j.runTime!);
        for (const [id, entry] of list.entries()) waiting.add(job(id, entry.devices, entry.runTime));
        waiting.rekey();
        const given: OrderedJob[] = [];
        for (let j = waiting.first(new Set([blocked])); j; j = waiting.first(new Set([blocked]))) {
          waiting.remove(j);
          given.push(j);
        }
        const expected = list.map((entry, id) => job(id, entry.devices, entry.runTime)).filter((j) => j.devices !== blocked);
        expected.sort((a, b) => a.runTime! - b.runTime! || a.id - b.id);
        expect(given).toEqual(expected);
        expect(waiting.size).toBe(list.length - given.length);
      }),
    );
  });
});

function planned(running: StandingJob[], free: number[], waiting: OrderedJob[]) {
  const queue = new WaitingJobs((j) => j.runTime! * j.devices);
  for (const j of waiting) queue.add(j);
  const plan = planRun({ nodeDevices: 8, free: Int32Array.from(free), running, waiting: queue, keyOf: (j) => j.runTime! * j.devices });
  return { plan, queue };
}

describe("planRun", () => {
  it("pushes out the last in order only, and nobody for a job that is behind all", () => {
    const long = { job: job(1, 8, 9000), standing: { nodes: [0], devices: [8] } };
    const short = { job: job(2, 8, 100), standing: { nodes: [1], devices: [8] } };
    const { plan } = planned([long, short], [0, 0], [job(3, 8, 500)]);
    expect(plan.preempt).toEqual([long]);
    expect(plan.start.map((s) => s.job.id)).toEqual([3]);
    expect(planned([long, short], [0, 0], [job(4, 8, 90_000)]).plan).toEqual({ preempt: [], start: [] });
  });

  it("moves a small neighbour where free devices are only scattered", () => {
    const small = { job: job(1, 1, 10), standing: { nodes: [0], devices: [1] } };
    const other = { job: job(2, 4, 10), standing: { nodes: [1], devices: [4] } };
    const { plan } = planned([small, other], [7, 4], [job(3, 8, 500)]);
    expect(plan.preempt).toEqual([small]);
    expect(plan.start).toEqual([
      { job: expect.objectContaining({ id: 3 }), standing: { nodes: [0], devices: [8] } },
      { job: small.job, standing: { nodes: [1], devices: [1] } },
    ]);
  });

  it("keeps every gang whole and every node within its devices, and loses no job", () => {
    const jobs = fc.array(fc.record({ devices: fc.constantFrom(1, 2, 3, 4, 8, 12, 16), runTime: fc.integer({ min: 1, max: 50 }) }), { maxLength: 25 });
    fc.assert(
      fc.property(jobs, jobs, (before, arriving) => {
        const free = new Int32Array(4).fill(8);
        const running: StandingJob[] = [];
        for (const [id, entry] of before.entries()) {
          const standing = stand(free, 8, entry.devices);
          if (standing === null) continue;
          for (const [i, node] of standing.nodes.entries()) free[node]! -= standing.devices[i]!;
          running.push({ job: job(id, entry.devices, entry.runTime), standing });
        }
        const waiting = arriving.map((entry, i) => job(100 + i, entry.devices, entry.runTime));
        const { plan, queue } = planned(running, [...free], waiting);
        for (const { standing } of plan.preempt) for (const [i, node] of standing.nodes.entries()) free[node]! += standing.devices[i]!;
        for (const { job: started, standing } of plan.start) {
          expect(standing.devices.reduce((a, b) => a + b, 0)).toBe(started.devices);
          for (const [i, node] of standing.nodes.entries()) free[node]! -= standing.devices[i]!;
        }
        expect(Math.min(...free)).toBeGreaterThanOrEqual(0);
        const startedFresh = plan.start.filter((s) => s.job.id >= 100).length;
        expect(queue.size + startedFresh).toBe(waiting.length);
        expect(startedFresh > 0 || plan.preempt.length === 0).toBe(true);
      }),
    );
  });
});
