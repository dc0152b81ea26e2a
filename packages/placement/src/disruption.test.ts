import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import type { JobInput, PlacementEngine, Policy } from "./index.ts";
import { cluster, HOUR, job, MINUTE, node, started } from "./testing/small.ts";

describe("a policy that is changed while jobs wait", () => {
  function spread(policy: Partial<Policy>): PlacementEngine {
    const engine = createEngine({ policy: { consolidation: false, ...policy } });
    engine.putQueue({ id: "q" });
    engine.putQueue({ id: "r" });
    engine.putQueue({ id: "s", quotas: [{ resource: "accelerators", nominal: 8000 }] });
    for (let i = 0; i < 4; i++) engine.putNode(node(`n${i}`, { fabric: { zone: `z${i >> 1}` } }));
    return engine;
  }
  const low = { preemptible: true, expectedDuration: HOUR };
  const touched = (engine: PlacementEngine, now: number): string[] => {
    const { starts, evictions, moves } = engine.cycle(now);
    return [...starts.map(({ job }) => `start ${job}`), ...evictions.map(({ job }) => `evict ${job}`), ...moves.map(({ job }) => `move ${job}`)];
  };

  it.each<[string, Partial<Policy>, Partial<Policy>, JobInput[], JobInput[], string[]]>([
    ["no reservation holds back what it held back", {}, { backfill: "greedy" }, [job("a", 3, low)], [job("b", 4), job("c", 1)], ["start c"]],
    ["nor where none is to be kept", {}, { reservations: 0 }, [job("a", 3, low)], [job("b", 4), job("c", 1)], ["start c"]],
    ["what is no longer protected makes room", {}, { protectedRuntimeMs: 0 }, [job("a", 4, low)], [job("b", 1, { priority: 1 })], ["evict a"]],
    [
      "what is borrowed is taken back",
      { reclaim: "never", protectedRuntimeMs: 0 },
      { reclaim: "fair_share" },
      [job("a", 2, low), job("b", 2, low)],
      [job("c", 2, { queue: "r" })],
      ["evict a"],
    ],
    [
      "what keeps a gang from starting is moved",
      { protectedRuntimeMs: 0 },
      { consolidation: true },
      [job("a", 1, { ...low, preferredNodes: ["n0"] }, 4), job("b", 1, { ...low, preferredNodes: ["n2"] }, 4)],
      [job("c", 3)],
      ["move a"],
    ],
    ["more gangs span zones", { maxCrossZoneJobs: 0 }, { maxCrossZoneJobs: 1 }, [], [job("a", 3)], ["start a"]],
    [
      "what no queue is guaranteed is used",
      { unassignedCapacity: "closed" },
      { unassignedCapacity: "borrowable" },
      [],
      [job("a", 2, { queue: "s" })],
      ["start a"],
    ],
  ])("%s", (_, before, after, running, waiting, then) => {
    const engine = spread(before);
    for (const one of running) engine.submit(one);
    expect(started(engine, 0)).toHaveLength(running.length);
    for (const one of waiting) engine.submit(one);
    expect(touched(engine, 1)).toEqual([]);
    expect(touched(engine, 2)).toEqual([]);
    engine.setPolicy(after);
    expect(touched(engine, 3)).toEqual(then);
  });
});

describe("disruption", () => {
  it("protects what has only just started, and wakes when that ends", () => {
    const engine = cluster(1, { protectedRuntimeMs: 10 * MINUTE });
    engine.submit(job("low", 1, { preemptible: true }));
    engine.cycle(0);
    engine.submit(job("high", 1, { priority: 1 }));
    expect(engine.cycle(MINUTE)).toMatchObject({ evictions: [], wakeAt: 10 * MINUTE });
    expect(engine.cycle(10 * MINUTE).evictions).toMatchObject([{ job: "low", cause: { kind: "priority", forJob: "high" } }]);
  });

  it("takes the victim that loses least, and says how much", () => {
    const engine = cluster(2, { protectedRuntimeMs: 0 });
    for (const id of ["saved", "unsaved"]) engine.submit(job(id, 1, { preemptible: true, checkpoint: { grace: 5000 } }));
    engine.cycle(0);
    engine.checkpointed("saved", 9 * MINUTE);
    engine.submit(job("high", 1, { priority: 1 }));
    expect(engine.cycle(10 * MINUTE).evictions).toMatchObject([{ job: "saved", graceMs: 5000, lostWork: 8 * MINUTE }]);
  });

  it("can be taken back when it could not be committed", () => {
    const engine = cluster(1, { protectedRuntimeMs: 0 });
    engine.submit(job("low", 1, { preemptible: true }));
    engine.cycle(0);
    engine.submit(job("high", 1, { priority: 1 }));
    expect(engine.cycle(1).evictions).toHaveLength(1);
    expect(engine.waitReason("high")).toBe("waiting_for_preemption");
    engine.undo("low");
    expect(engine.capacity()[0]).toMatchObject({ freeDevices: 0 });
    engine.finished("low", 2);
    expect(started(engine, 2)).toEqual(["high"]);
  });

  it("grows also what began at its least size, as others had to stop for it", () => {
    const engine = cluster(2, { protectedRuntimeMs: 0 });
    engine.submit(job("low", 2, { preemptible: true }));
    engine.cycle(0);
    engine.submit(job("elastic", 1, { priority: 1, roles: [{ name: "worker", nodes: { min: 1, max: 2 }, resources: { accelerators: 8 } }] }));
    expect(engine.cycle(1).evictions.map((eviction) => eviction.job)).toEqual(["low"]);
    engine.released("low", 2);
    engine.removeJob("low");
    const { starts } = engine.cycle(3);
    expect(starts.map((start) => [start.job, start.members.length])).toEqual([["elastic", 1]]);
    expect(engine.cycle(4).grows.map((grow) => [grow.job, grow.members.length])).toEqual([["elastic", 1]]);
  });

  it("shrinks, undoes a shrink, restarts at the new size and grows again when nobody waits", () => {
    const engine = cluster(4, { protectedRuntimeMs: 0 });
    const elastic = { roles: [{ name: "worker", nodes: { min: 2, max: 4 }, resources: { accelerators: 8 } }], preemptible: true };
    engine.submit(job("elastic", 4, elastic));
    expect(engine.cycle(0).starts[0]?.members).toHaveLength(4);
    engine.submit(job("high", 1, { priority: 1 }));
    expect(engine.cycle(1).shrinks).toMatchObject([{ job: "elastic", members: [{ role: "worker" }] }]);
    engine.undo("elastic");
    expect(engine.capacity()[0]).toMatchObject({ freeDevices: 0 });
    expect(engine.cycle(2).shrinks).toHaveLength(1);
    engine.released("elastic", 3);
    const again = engine.cycle(3).starts;
    expect(Object.fromEntries(again.map((start) => [start.job, start.members.length]))).toEqual({ elastic: 3, high: 1 });
    engine.finished("high", 4);
    expect(engine.cycle(5).grows).toMatchObject([{ job: "elastic", members: [{ rank: 3 }] }]);
    engine.undo("elastic");
    expect(engine.capacity()[0]).toMatchObject({ freeDevices: 8 });
    expect(engine.cycle(5).grows).toMatchObject([{ job: "elastic", members: [{ rank: 3 }] }]);
    engine.released("elastic", 6);
    expect(engine.cycle(6).starts[0]?.members).toHaveLength(4);
  });

  it("remembers past use for its half-life", () => {
    const engine = createEngine({ policy: { usageHalfLifeMs: HOUR } });
    engine.putQueue({ id: "greedy" });
    engine.putQueue({ id: "modest" });
    engine.putNode(node("n0"));
    engine.submit(job("before", 1, { queue: "greedy" }));
    engine.cycle(0);
    engine.cycle(HOUR);
    engine.finished("before", HOUR);
    engine.submit(job("first", 1, { queue: "greedy" }));
    engine.submit(job("second", 1, { queue: "modest" }));
    expect(started(engine, HOUR + 1)).toEqual(["second"]);
  });

  it("compares past use from the top of the tree down", () => {
    const order = (used: string, then: [string, string]): string[] => {
      const engine = createEngine({ policy: { usageHalfLifeMs: HOUR } });
      for (const top of ["east", "west"]) {
        engine.putQueue({ id: top });
        for (const below of ["a", "b"]) engine.putQueue({ id: `${top}-${below}`, parent: top });
      }
      engine.putNode(node("n0"));
      engine.submit(job("before", 1, { queue: used }));
      engine.cycle(0);
      engine.cycle(HOUR);
      engine.finished("before", HOUR);
      for (const queue of then) engine.submit(job(queue, 1, { queue }));
      return started(engine, HOUR + 1);
    };
    // a queue that used nothing pays for its neighbour under the same parent
    expect(order("east-a", ["east-b", "west-a"])).toEqual(["west-a"]);
    expect(order("east-a", ["east-a", "east-b"])).toEqual(["east-b"]);
    // with nothing between them it is the earlier job's turn
    expect(order("west-a", ["east-a", "east-b"])).toEqual(["east-a"]);
  });
});
