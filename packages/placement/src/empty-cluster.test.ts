import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEngine } from "./engine.ts";
import type { NodeInput } from "./cluster-input.ts";
import type { JobInput } from "./job-input.ts";
import type { PlacementEngine } from "./placement-engine.ts";

const node = (id: string, more: Partial<NodeInput> = {}): NodeInput => ({
  id,
  pool: "a",
  accelerator: "x",
  devices: 8,
  cpuMillis: 64_000,
  memoryBytes: 2 ** 40,
  schedulable: true,
  ...more,
});
let submitted = 0;
const job = (id: string, nodes: number | { min: number; max: number }, more: Partial<JobInput> = {}): JobInput => ({
  id,
  queue: "q",
  priority: 0,
  preemptible: true,
  submittedAt: ++submitted,
  roles: [{ name: "worker", nodes: typeof nodes === "number" ? { min: nodes, max: nodes } : nodes, resources: { accelerators: 8 } }],
  ...more,
});
const started = (engine: PlacementEngine, now: number): string[] => engine.cycle(now).starts.map((start) => start.job);

describe("a job that no registered hardware could run", () => {
  it("holds up nobody in a strict queue, and goes first once there are such nodes", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q", order: "strict" });
    engine.putNode(node("n0"));
    engine.submit(job("unfit", 2));
    expect(engine.plan(job("asks", 1), 0).start).not.toBeNull();
    engine.submit(job("fits", 1));
    engine.submit(job("waits", 1));
    expect(started(engine, 1)).toEqual(["fits"]);
    expect(engine.explain("unfit")).toMatchObject({ reason: "exceeds_topology" });
    expect(engine.explain("waits")).toMatchObject({ reason: "insufficient_capacity", ahead: { jobs: 0 } });
    // Such nodes are there, though one of them is out of service: from now on it is waited for.
    engine.putNode(node("n1", { schedulable: false }));
    engine.putNode(node("n2"));
    engine.putNode(node("n3", { schedulable: false }));
    expect(started(engine, 2)).toEqual([]);
    expect(engine.explain("waits")).toMatchObject({ ahead: { jobs: 1, top: ["unfit"] } });
    engine.putNode(node("n1"));
    expect(started(engine, 3)).toEqual(["unfit"]);
  });

  it("holds up nobody where it asks more than its queue may ever use", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q", order: "strict", quotas: [{ resource: "accelerators", limit: 8000 }] });
    for (let i = 0; i < 4; i++) engine.putNode(node(`n${i}`));
    engine.submit(job("unfit", 2));
    engine.submit(job("fits", 1));
    expect(started(engine, 1)).toEqual(["fits"]);
    engine.submit(job("next", 1));
    engine.putQueue({ id: "q", order: "strict", quotas: [{ resource: "accelerators", limit: 24_000 }] });
    expect(started(engine, 2)).toEqual(["unfit"]);
  });

  it("keeps no elastic job from growing", () => {
    const engine = createEngine({ policy: { protectedRuntimeMs: 0 } });
    engine.putQueue({ id: "q" });
    engine.putNode(node("n0"));
    engine.submit(job("elastic", { min: 1, max: 2 }));
    expect(started(engine, 1)).toEqual(["elastic"]);
    engine.submit(job("unfit", 5));
    engine.putNode(node("n1"));
    expect(engine.cycle(10).grows).toMatchObject([{ job: "elastic" }]);
  });

  it("keeps no quota from being lent, in a queue that could not get it back", () => {
    const engine = createEngine();
    const quotas = (nominal: number) => [{ resource: "accelerators" as const, nominal }];
    engine.putQueue({ id: "q", quotas: quotas(24_000), reclaim: "never" });
    engine.putQueue({ id: "other", quotas: quotas(0) });
    engine.putNode(node("n0"));
    engine.putNode(node("n1"));
    engine.submit(job("unfit", 3));
    engine.submit(job("borrows", 2, { queue: "other" }));
    expect(started(engine, 1)).toEqual(["borrows"]);
  });

  it("is told so where a power budget or the zones it may span are what it exceeds", () => {
    const engine = createEngine({ policy: { maxCrossZoneJobs: 0 } });
    engine.putQueue({ id: "q", order: "strict" });
    engine.putPool({ id: "a", powerBudget: 10_000, devicePower: 500 });
    for (let i = 0; i < 6; i++) engine.putNode(node(`n${i}`, { pool: i < 3 ? "a" : "b", fabric: { zone: `z${i % 3}` } }));
    engine.submit(job("hungry", 3, { variants: [{ pools: ["a"] }] }));
    engine.submit(job("wide", 2, { variants: [{ pools: ["b"] }] }));
    engine.submit(job("fits", 1, { variants: [{ pools: ["a"] }] }));
    expect(started(engine, 1)).toEqual(["fits"]);
    expect(engine.explain("hungry")).toMatchObject({ reason: "exceeds_quota", message: expect.stringContaining("never allows more than 20") });
    expect(engine.explain("wide")).toMatchObject({ reason: "exceeds_topology" });
    engine.setPolicy({ maxCrossZoneJobs: 1 });
    expect(started(engine, 2)).toEqual(["wide"]);
    engine.putPool({ id: "a", powerBudget: 100_000, devicePower: 500 });
    engine.finished("fits", 3);
    expect(engine.explain("hungry").reason).not.toBe("exceeds_quota");
  });

  it("is one that starts on no cluster of the same nodes, healthy and empty", () => {
    const nodeArb = fc.record({ devices: fc.integer({ min: 1, max: 3 }), leaf: fc.nat(2), pool: fc.nat(1), healthy: fc.boolean(), held: fc.boolean() });
    const roleArb = fc.record({
      members: fc.integer({ min: 1, max: 3 }),
      devices: fc.integer({ min: 1, max: 3 }),
      pool: fc.constantFrom(undefined, "p0", "p1"),
    });
    const within = fc.constantFrom(undefined, "leaf", "spine");
    fc.assert(
      fc.property(
        fc.array(nodeArb, { minLength: 1, maxLength: 6 }),
        fc.array(roleArb, { minLength: 1, maxLength: 3 }),
        within,
        fc.nat(12),
        (nodes, roles, level, limit) => {
          const input = job("j", 1, {
            roles: roles.map(({ members, devices, pool }, i) => ({
              name: `r${i}`,
              nodes: { min: members, max: members },
              colocate: true,
              resources: { accelerators: devices },
              ...(pool === undefined ? {} : { pools: [pool] }),
            })),
            ...(level === undefined ? {} : { within: { within: level, mode: "required" } }),
          });
          const cluster = (asTheyAre: boolean): PlacementEngine => {
            const engine = createEngine();
            engine.putQueue({ id: "q", order: "strict", quotas: limit === 0 ? [] : [{ resource: "accelerators", limit: limit * 1000 }] });
            for (const [i, { devices, leaf, pool, healthy, held }] of nodes.entries()) {
              const fabric = { leaf: `l${leaf}`, spine: `s${leaf >> 1}` };
              engine.putNode(node(`n${i}`, { devices, pool: `p${pool}`, fabric, ...(asTheyAre && { schedulable: healthy, heldDevices: held ? [1000] : [] }) }));
            }
            return engine;
          };
          const { start } = cluster(false).plan(input, 1);
          const asked = cluster(true).plan(input, 1);
          expect(asked.start === null && asked.impossible).toBe(start === null);
          // Whoever comes after it in a strict queue waits exactly where it could run some day.
          const engine = cluster(true);
          engine.submit(input);
          engine.submit(job("cpu", 1, { roles: [{ name: "r", nodes: { min: 1, max: 1 }, resources: {} }] }));
          const starts = started(engine, 1);
          const rivals = !starts.includes("j") && nodes.some(({ healthy }) => healthy) && roles.every(({ pool }) => pool === undefined);
          expect(rivals && starts.includes("cpu")).toBe(rivals && start === null);
        },
      ),
      { numRuns: 400 },
    );
  });
});
