import type { OrderedJob } from "@muster/placement/ordering/job";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stand } from "./floor.ts";
import { WaitingJobs } from "./waiting-jobs.ts";

function job(id: number, devices: number, runTime: number): OrderedJob {
  return { id, devices, submittedAt: 0, tenant: "a", runTime, ran: 0, restartCost: 10 };
}

describe("stand", () => {
  it("takes the tightest node, and whole idle nodes for wide gangs", () => {
    expect(stand(Int32Array.of(8, 3, 5), 8, 3)).toEqual({ nodes: [1], devices: [3] });
    expect(stand(Int32Array.of(8, 3, 8), 8, 16)).toEqual({ nodes: [0, 2], devices: [8, 8] });
    expect(stand(Int32Array.of(8, 5, 8), 8, 12)).toEqual({ nodes: [0, 1], devices: [8, 4] });
    expect(stand(Int32Array.of(7, 7, 7), 8, 8)).toBeNull();
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
