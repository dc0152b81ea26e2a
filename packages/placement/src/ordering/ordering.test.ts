import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OrderedJob } from "./job.ts";
import { LearnedRunTimes, linearEdges, logarithmicEdges } from "./learned-run-times.ts";
import { ServiceOrder } from "./service-order.ts";

function job(id: number, devices: number, runTime: number, more: Partial<OrderedJob> = {}): OrderedJob {
  return { id, devices, submittedAt: 0, tenant: "a", runTime, ran: 0, restartCost: 10, ...more };
}

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
