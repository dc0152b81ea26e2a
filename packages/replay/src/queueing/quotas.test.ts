import { describe, expect, it } from "vitest";
import { muster } from "./muster.ts";
import { nodeQuotas } from "./quotas.ts";
import { simulate, type TraceJob } from "./simulation.ts";

const job = (tenant: string, submit: number, devices: number, runTime: number): TraceJob => ({ tenant, submit, devices, runTime, restartCost: 0 });
const OPTIONS = { nodes: 2, nodeDevices: 8, firstStartCosts: false };

describe("quotas of tenants", () => {
  it("are whole nodes in proportion to the work, all of the cluster, and wide enough for each", () => {
    const jobs = [job("a", 0, 8, 700), job("b", 0, 8, 200), job("c", 0, 16, 50)];
    expect([...nodeQuotas(jobs, 10, 8)]).toEqual([
      ["a", 6],
      ["b", 2],
      ["c", 2],
    ]);
    expect(() => nodeQuotas(jobs, 3, 8)).toThrow("too few");
  });

  it("are each tenant's at once, and lent while it needs them not", () => {
    const jobs = [job("long", 0, 16, 1000), job("short", 100, 8, 100), job("short", 100, 8, 200), job("short", 100, 8, 300)];
    const quotas = new Map([
      ["long", 8],
      ["short", 8],
    ]);
    // The wide job fits into no quota, so it runs on what is lent: both nodes, until the short ones come.
    const shared = simulate(jobs, muster("runtimes", 2, 8, quotas), OPTIONS).jobs.map((one) => one.finish);
    expect(shared[1]).toBe(220);
    expect(shared[0]).toBe(Math.max(...shared));
    // A stream of short jobs does not keep out a job within its tenant's quota.
    const stream = [job("long", 0, 8, 1000), ...Array.from({ length: 40 }, (_, i) => job("short", i * 20, 8, 50))];
    expect(simulate(stream, muster("runtimes", 2, 8), OPTIONS).jobs[0]!.finish).toBeGreaterThan(1000);
    expect(simulate(stream, muster("runtimes", 2, 8, quotas), OPTIONS).jobs[0]!.finish).toBe(1000);
  });
});
