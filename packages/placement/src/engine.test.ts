import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import type { ClusterChange, JobInput, NodeInput, PlacementEngine, RoleInput } from "./index.ts";

const GIB = 2 ** 30;

function node(id: string, more: Partial<NodeInput> = {}): NodeInput {
  return { id, pool: "a", accelerator: "h800", devices: 8, cpuMillis: 64_000, memoryBytes: 512 * GIB, schedulable: true, ...more };
}

function role(nodes: number, more: Partial<RoleInput> = {}): RoleInput {
  return { name: "worker", nodes: { min: nodes, max: nodes }, resources: { accelerators: 8, cpuMillis: 8000, memoryBytes: GIB }, ...more };
}

let submitted = 0;
function job(id: string, more: Partial<JobInput> = {}): JobInput {
  return { id, queue: "q", priority: 0, preemptible: true, submittedAt: ++submitted, roles: [role(1)], ...more };
}

/** Zones of two spines of two leaves of four nodes. */
function fabric(engine: PlacementEngine, leaves: number, perLeaf = 4): void {
  engine.putQueue({ id: "q" });
  for (let leaf = 0; leaf < leaves; leaf++) {
    for (let i = 0; i < perLeaf; i++) {
      engine.putNode(node(`n${leaf * perLeaf + i}`, { fabric: { leaf: `l${leaf}`, spine: `s${leaf >> 1}`, zone: `z${leaf >> 2}` } }));
    }
  }
}

function nodesOf(engine: PlacementEngine, now = 1): Record<string, string[]> {
  return Object.fromEntries(engine.cycle(now).starts.map((start) => [start.job, start.members.map((member) => member.node)]));
}

describe("a first cut of placement", () => {
  it("starts a gang whole or not at all", () => {
    const engine = createEngine();
    fabric(engine, 1, 2);
    engine.submit(job("big", { roles: [role(3)] }));
    engine.submit(job("pair", { roles: [role(2)] }));
    expect(nodesOf(engine)).toEqual({ pair: ["n0", "n1"] });
    expect(engine.explain("big")).toMatchObject({ reason: "exceeds_topology", need: { members: 3, devices: 24 } });
  });

  it("goes by priority, then by submit time", () => {
    const engine = createEngine();
    fabric(engine, 1, 1);
    engine.submit(job("first"));
    engine.submit(job("second"));
    engine.submit(job("urgent", { priority: 5 }));
    expect(nodesOf(engine)).toEqual({ urgent: ["n0"] });
    engine.finished("urgent", 2);
    expect(nodesOf(engine, 2)).toEqual({ first: ["n0"] });
    expect(engine.explain("second")).toMatchObject({ reason: "insufficient_capacity" });
  });

  it("gives out devices by index, never one twice, and returns them", () => {
    const engine = createEngine();
    fabric(engine, 1, 1);
    for (const id of ["a", "b", "c"]) engine.submit(job(id, { roles: [role(1, { resources: { accelerators: 3 } })] }));
    const starts = engine.cycle(1).starts;
    expect(starts.map((start) => start.job)).toEqual(["a", "b"]);
    const held = starts.flatMap((start) => start.members.flatMap((member) => member.devices));
    expect(new Set(held).size).toBe(6);
    engine.finished("a", 2);
    expect(engine.cycle(2).starts[0]?.members[0]?.devices).toEqual([0, 1, 2]);
  });

  it("packs shares of a device before it breaks a whole one", () => {
    const engine = createEngine();
    fabric(engine, 1, 2);
    for (const id of ["a", "b", "c", "d", "e"]) engine.submit(job(id, { roles: [role(1, { resources: { share: 250 } })] }));
    const placed = engine.cycle(1).starts.flatMap((start) => start.members.map((member) => [member.node, member.devices[0], member.share]));
    expect(placed).toEqual([
      ["n0", 0, 250],
      ["n0", 0, 250],
      ["n0", 0, 250],
      ["n0", 0, 250],
      ["n0", 1, 250],
    ]);
  });

  it("packs shares and whole devices by the mix that it sees", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    for (let i = 0; i < 4; i++) engine.putNode(node(`n${i}`, { devices: 2, cpuMillis: 16_000 }));
    // Halves and whole nodes: nothing may be left over when both add up to all there is.
    for (let i = 0; i < 60; i++)
      engine.submit(job(`seen${i}`, { roles: [role(1, { resources: i % 2 === 0 ? { share: 500 } : { accelerators: 2 } })], held: "user" }));
    for (let i = 0; i < 8; i++) engine.submit(job(`half${i}`, { roles: [role(1, { resources: { share: 500, cpuMillis: 1000 } })] }));
    const halves = engine.cycle(1).starts;
    expect(new Set(halves.map((start) => start.members[0]!.node)).size).toBe(2);
    for (let i = 0; i < 2; i++) engine.submit(job(`pair${i}`, { roles: [role(1, { resources: { accelerators: 2 } })] }));
    expect(engine.cycle(2).starts).toHaveLength(2);
    expect(engine.capacity()).toMatchObject([{ freeDevices: 0 }]);
  });

  it("matches pools and accelerators, and takes variants in order until one has started", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putNode(node("h0"));
    engine.putNode(node("n0", { pool: "b", accelerator: "ascend-910b" }));
    const variants = [{ accelerators: ["h800"] }, { accelerators: ["ascend-910b"] }];
    engine.submit(job("one", { variants }));
    engine.submit(job("two", { variants }));
    engine.submit(job("three", { variants: [{ accelerators: ["mi300x"] }] }));
    const starts = engine.cycle(1).starts;
    expect(starts.map((start) => [start.job, start.variant, start.members[0]!.node])).toEqual([
      ["one", 0, "h0"],
      ["two", 1, "n0"],
    ]);
    expect(engine.explain("three")).toMatchObject({ reason: "no_matching_pool" });
    engine.submit(job("sticky", { variants, stickyVariant: 1 }));
    engine.finished("one", 2);
    expect(engine.cycle(2).starts).toEqual([]);
    engine.finished("two", 3);
    expect(engine.cycle(3).starts.map((start) => [start.job, start.variant])).toEqual([["sticky", 1]]);
  });

  it("goes through a thousand variants, and names the nearest where none will do", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putNode(node("n0", { pool: "p999" }));
    const variants = Array.from({ length: 1000 }, (_, i) => ({ pools: [`p${i}`] }));
    engine.submit(job("first", { variants }));
    engine.submit(job("second", { variants }));
    expect(engine.cycle(1).starts).toMatchObject([{ job: "first", variant: 999 }]);
    expect(engine.explain("second")).toMatchObject({ reason: "insufficient_capacity", message: expect.stringContaining("pool p999") });
    engine.submit(job("none", { variants: variants.slice(0, 999) }));
    expect(engine.explain("none")).toMatchObject({ reason: "no_matching_pool" });
  });

  it("counts cpus and memory, and never mixes pools in one role", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putNode(node("a0", { cpuMillis: 4000 }));
    engine.putNode(node("a1", { memoryBytes: GIB / 2 }));
    engine.putNode(node("b0", { pool: "b" }));
    engine.submit(job("two", { roles: [role(2, { resources: { accelerators: 1, cpuMillis: 1 } })] }));
    engine.submit(job("cpus", { roles: [role(1, { resources: { accelerators: 1, cpuMillis: 5000, memoryBytes: GIB } })] }));
    expect(nodesOf(engine)).toEqual({ two: ["a0", "a1"], cpus: ["b0"] });
    engine.submit(job("three", { roles: [role(3, { resources: { accelerators: 1 } })] }));
    expect(nodesOf(engine, 2)).toEqual({});
  });

  it("puts each segment in one leaf and follows the fabric in rank order", () => {
    const engine = createEngine();
    fabric(engine, 8);
    engine.submit(job("hole", { roles: [role(1)] }));
    expect(nodesOf(engine)).toEqual({ hole: ["n0"] });
    engine.submit(job("moe", { roles: [role(16)], segments: [{ ranks: 32, within: "leaf", mode: "required" }], within: { within: "zone", mode: "required" } }));
    const placed = nodesOf(engine, 2)["moe"]!;
    expect(placed).toEqual(Array.from({ length: 16 }, (_, i) => `n${16 + i}`));
  });

  it("tells fragmented from full, and names the best block", () => {
    const engine = createEngine();
    fabric(engine, 2);
    for (let i = 0; i < 2; i++) engine.submit(job(`x${i}`, { roles: [role(1)], excludedNodes: i === 0 ? [] : ["n0", "n1", "n2", "n3"] }));
    engine.cycle(1);
    engine.submit(job("four", { roles: [role(4)], within: { within: "leaf", mode: "required" } }));
    expect(engine.cycle(2).starts).toEqual([]);
    const why = engine.explain("four");
    expect(why).toMatchObject({
      reason: "topology_fragmented",
      blocks: [
        { fits: 3, needed: 4 },
        { fits: 3, needed: 4 },
      ],
    });
    expect(why.message).toContain("needs 4 nodes in one leaf; the best");
    engine.updateJob(job("four", { roles: [role(4)], within: { within: "leaf", mode: "preferred" } }));
    expect(nodesOf(engine, 3)["four"]).toHaveLength(4);
  });

  it("says that nodes out of service are what is missing", () => {
    const engine = createEngine();
    fabric(engine, 1, 2);
    engine.putNode(node("n1", { schedulable: false, health: "cordoned", fabric: { leaf: "l0", spine: "s0", zone: "z0" } }));
    engine.submit(job("pair", { roles: [role(2)] }));
    expect(engine.cycle(1).starts).toEqual([]);
    expect(engine.explain("pair")).toMatchObject({ reason: "nodes_unhealthy", filtered: [{ nodes: 1, sampleNodes: ["n1"] }] });
    engine.putNode(node("n1", { fabric: { leaf: "l0", spine: "s0", zone: "z0" } }));
    expect(nodesOf(engine, 2)).toEqual({ pair: ["n0", "n1"] });
  });

  it("places on a doubtful node only what finds no room elsewhere, or was there before", () => {
    const engine = createEngine();
    const doubtful = { doubtful: true, fabric: { leaf: "l0", spine: "s0", zone: "z0" } };
    fabric(engine, 1, 3);
    engine.putNode(node("n0", doubtful));
    engine.submit(job("one"));
    engine.submit(job("back", { preferredNodes: ["n0"] }));
    expect(nodesOf(engine)).toEqual({ one: ["n1"], back: ["n0"] });
    engine.released("back", 2);
    engine.removeJob("back");
    engine.submit(job("pair", { roles: [role(2)] }));
    expect(nodesOf(engine, 3)).toEqual({ pair: ["n0", "n2"] });
    engine.released("pair", 4);
    engine.removeJob("pair");
    engine.putNode(node("n0", { fabric: doubtful.fabric }));
    engine.submit(job("next"));
    expect(nodesOf(engine, 5)).toEqual({ next: ["n0"] });
  });

  it("says of a job that it waits for the nodes that it leaves out, and for no job ahead of it", () => {
    const engine = createEngine();
    fabric(engine, 1, 3);
    engine.submit(job("broke", { roles: [role(2)], excludedNodes: ["n0", "n1", "gone"] }));
    expect(nodesOf(engine)).toEqual({});
    expect(engine.explain("broke")).toMatchObject({
      reason: "insufficient_capacity",
      message: expect.stringContaining("not without the 2 nodes that it leaves out"),
      filtered: [{ nodes: 2, sampleNodes: ["n0", "n1"] }],
    });
    engine.updateJob(job("broke", { roles: [role(2)], excludedNodes: ["n0"] }));
    expect(nodesOf(engine, 2)).toEqual({ broke: ["n1", "n2"] });
  });

  it("gates jobs that may not start, and wakes for those that time frees", () => {
    const engine = createEngine();
    fabric(engine, 1, 4);
    engine.putQueue({ id: "off", paused: true });
    engine.submit(job("held", { held: "user" }));
    engine.submit(job("later", { startAfter: 100 }));
    engine.submit(job("after", { dependency: "waiting" }));
    engine.submit(job("paused", { queue: "off" }));
    engine.submit(job("back", { backoffUntil: 50 }));
    const first = engine.cycle(1);
    expect(first).toMatchObject({ starts: [], wakeAt: 50, waiting: 5 });
    const reasons = ["held", "later", "after", "paused", "back"].map((id) => engine.explain(id).reason);
    expect(reasons).toEqual(["held", "start_time", "dependency", "queue_paused", "restart_backoff"]);
    expect(Object.keys(nodesOf(engine, 50))).toEqual(["back"]);
    engine.putQueue({ id: "off" });
    expect(Object.keys(nodesOf(engine, 100)).sort()).toEqual(["later", "paused"]);
  });

  it("limits a queue by quota and lends what is idle", () => {
    const engine = createEngine();
    fabric(engine, 1, 4);
    const quota = (nodes: number, more = {}): object[] => [{ resource: "accelerators", accelerator: "h800", nominal: nodes * 8000, ...more }];
    engine.putQueue({ id: "q", quotas: quota(2, { borrowLimit: 8000 }) as never });
    engine.putQueue({ id: "r", quotas: quota(2) as never });
    for (let i = 0; i < 4; i++) engine.submit(job(`q${i}`));
    expect(Object.keys(nodesOf(engine))).toEqual(["q0", "q1", "q2"]);
    expect(engine.explain("q3")).toMatchObject({ reason: "quota_exhausted" });
    engine.submit(job("huge", { roles: [role(4)] }));
    expect(engine.explain("huge")).toMatchObject({ reason: "exceeds_quota" });
  });

  it("keeps the order of a strict queue, but only among jobs for the same hardware", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q", order: "strict" });
    engine.putNode(node("a0", { accelerator: "b300" }));
    engine.putNode(node("b0", { pool: "b", accelerator: "b200" }));
    engine.submit(job("runs", { roles: [role(1, { resources: { accelerators: 4 } })], variants: [{ accelerators: ["b300"] }] }));
    engine.submit(job("head", { variants: [{ accelerators: ["b300"] }] }));
    engine.submit(job("small", { roles: [role(1, { resources: { accelerators: 1 } })], variants: [{ accelerators: ["b300"] }] }));
    engine.submit(job("other", { variants: [{ accelerators: ["b200"] }] }));
    expect(Object.keys(nodesOf(engine)).sort()).toEqual(["other", "runs"]);
    expect(engine.explain("small")).toMatchObject({ reason: "behind_higher_priority" });
    engine.submit(job("late", { roles: [role(1, { resources: { accelerators: 1 } })], variants: [{ accelerators: ["b300"] }] }));
    expect(nodesOf(engine, 2)).toEqual({});
  });

  it("rebuilds from what runs, and undoes a decision that could not be committed", () => {
    const engine = createEngine();
    fabric(engine, 1, 1);
    engine.submit(job("old"));
    engine.started("old", {
      variant: 0,
      startedAt: 0,
      members: [{ role: "worker", rank: 0, node: "n0", devices: [0, 1, 2, 3, 4, 5, 6, 7], share: 1000, cpuMillis: 8000, memoryBytes: GIB }],
    });
    engine.submit(job("next"));
    expect(nodesOf(engine)).toEqual({});
    engine.released("old", 2);
    expect(nodesOf(engine, 2)).toEqual({ old: ["n0"] });
    engine.undo("old");
    expect(nodesOf(engine, 3)).toEqual({ old: ["n0"] });
    expect(() => engine.started("old", { variant: 0, startedAt: 0, members: [] })).toThrow("already holds");
  });

  it("a job that runs where another is still leaving, and a third is to start, runs: it isn't started again", () => {
    const engine = createEngine();
    fabric(engine, 1, 2);
    engine.submit(job("victim", { roles: [role(2)] }));
    expect(nodesOf(engine)).toEqual({ victim: ["n0", "n1"] });
    engine.submit(job("urgent", { priority: 5, roles: [role(2)] }));
    expect(engine.cycle(1_000_000).evictions.map((one) => one.job)).toEqual(["victim"]);
    // the victim has left, and another took a replacement there before the scheduler heard of it: both are told in either order
    engine.submit(job("back"));
    engine.started("back", {
      variant: 0,
      startedAt: 1_000_001,
      members: [{ role: "worker", rank: 0, node: "n0", devices: [0, 1, 2, 3, 4, 5, 6, 7], share: 1000, cpuMillis: 8000, memoryBytes: GIB }],
    });
    engine.released("victim", 1_000_002);
    const tried = engine.cycle(1_000_003).starts.map((start) => start.job);
    expect(tried).not.toContain("back");
    for (const id of tried) engine.undo(id);
    // by now only the other node is free
    expect(nodesOf(engine, 1_000_004)).toEqual({});
    engine.released("back", 1_000_005);
    expect(nodesOf(engine, 1_000_006)).toEqual({ urgent: ["n0", "n1"] });
  });

  it("plans without changing anything, also on a changed cluster", () => {
    const engine = createEngine();
    fabric(engine, 1, 2);
    engine.submit(job("busy"));
    engine.cycle(1);
    expect(engine.plan(job("what", { roles: [role(2)] }), 2)).toMatchObject({
      start: null,
      impossible: false,
      explanation: { reason: "insufficient_capacity" },
    });
    expect(engine.plan(job("what", { roles: [role(2)] }), 2, { removeJobs: ["busy"] }).start?.members).toHaveLength(2);
    expect(engine.plan(job("what", { roles: [role(3)] }), 2)).toMatchObject({ impossible: true });
    expect(
      engine
        .plan(job("what", { roles: [role(2)] }), 2, { addNodes: [node("n9", { fabric: { leaf: "l0", spine: "s0", zone: "z0" } })] })
        .start?.members.map((m) => m.node),
    ).toEqual(["n1", "n9"]);
    expect(engine.plan(job("what"), 2, { removeNodes: ["n1"] })).toMatchObject({ start: null });
    expect(engine.capacity()).toMatchObject([{ freeDevices: 8, freeNodes: 1, totalDevices: 16 }]);
    expect(engine.plan(job("what"), 2).start?.members[0]?.node).toBe("n1");
  });

  it("plans for nodes that return, go or are added, for other quotas, and without jobs ahead", () => {
    const engine = createEngine();
    fabric(engine, 1, 2);
    engine.putQueue({ id: "q", order: "strict" });
    engine.putNode(node("n1", { schedulable: false, health: "suspect", fabric: { leaf: "l0", spine: "s0", zone: "z0" } }));
    engine.submit(job("busy"));
    engine.submit(job("first", { roles: [role(2)] }));
    engine.cycle(1);
    const places = (change: ClusterChange, members = 1): string[] | undefined =>
      engine.plan(job("what", { roles: [role(members)], submittedAt: 1e9 }), 2, change).start?.members.map((m) => m.node);
    expect(places({})).toBeUndefined();
    expect(places({ returnNodes: ["n1"] })).toBeUndefined();
    expect(places({ returnNodes: ["n1"], removeJobs: ["first"] })).toEqual(["n1"]);
    expect(places({ removeJobs: ["first", "busy"], cordonNodes: ["n0"] })).toBeUndefined();
    expect(places({ removeJobs: ["first"], addLike: [{ node: "n0", count: 3 }] }, 3)).toEqual(["n0+1", "n0+2", "n0+3"]);
    const closed = { id: "q", quotas: [{ resource: "accelerators" as const, pool: "a", nominal: 0, borrowLimit: 0 }] };
    expect(engine.plan(job("what"), 2, { removeJobs: ["first"], returnNodes: ["n1"], queues: [closed] }).explanation?.reason).toBe("exceeds_quota");
    expect(engine.plan(job("what"), 2, { queues: [{ id: "q", paused: true }] }).explanation?.reason).toBe("queue_paused");
    // What cannot be so leaves nothing changed either.
    expect(() => places({ removeJobs: ["first"], returnNodes: ["n1"], cordonNodes: ["n7"] })).toThrow("node n7: not known");
    expect(() => places({ queues: [{ id: "none" }] })).toThrow("queue none: not known");
    expect(engine.capacity()).toMatchObject([{ freeDevices: 0, totalDevices: 16, unhealthyNodes: 1 }]);
    expect(engine.explain("first").reason).toBe("insufficient_capacity");
    engine.finished("busy", 3);
    engine.putNode(node("n1", { fabric: { leaf: "l0", spine: "s0", zone: "z0" } }));
    expect(nodesOf(engine, 4)).toEqual({ first: ["n0", "n1"] });
  });

  it("refuses what makes no sense and names the field", () => {
    const engine = createEngine();
    fabric(engine, 1);
    expect(() => engine.submit(job("x", { queue: "none" }))).toThrow('queue "none"');
    expect(() => engine.submit(job("x", { roles: [role(3)], segments: [{ ranks: 16, within: "leaf", mode: "required" }] }))).toThrow("segments[0].ranks");
    expect(() => engine.submit(job("x", { roles: [role(4)], segments: [{ ranks: 16, within: "rack", mode: "required" }] }))).toThrow(
      'no fabric level is called "rack"',
    );
    expect(() => engine.putNode(node("n0", { devices: -1 }))).toThrow("devices");
    expect(() => engine.putQueue({ id: "a", parent: "b" })).toThrow("parent");
    engine.submit(job("x"));
    expect(() => engine.submit(job("x"))).toThrow("already known");
  });

  it("starts again on the nodes it had, where they are free", () => {
    const engine = createEngine();
    fabric(engine, 2);
    const had = ["n6", "n5"];
    engine.submit(job("again", { roles: [role(2)], preferredNodes: had }));
    expect(nodesOf(engine)).toEqual({ again: had });
    engine.submit(job("late", { roles: [role(2)], preferredNodes: had }));
    expect(nodesOf(engine, 2)["late"]).not.toContain("n6");
    engine.submit(job("apart", { roles: [role(2)], preferredNodes: ["n0", "n7"], within: { within: "leaf", mode: "required" } }));
    expect(nodesOf(engine, 3)["apart"]).toEqual(["n0", "n1"]);
  });

  it("gives several roles each its own hardware, all or nothing", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putNode(node("t0"));
    engine.putNode(node("r0", { pool: "b", accelerator: "h20" }));
    const roles = [role(1, { name: "trainer", accelerators: ["h800"] }), role(1, { name: "rollout", accelerators: ["h20"] })];
    engine.submit(job("rl", { roles }));
    engine.submit(job("rl2", { roles }));
    const starts = engine.cycle(1).starts;
    expect(starts.map((s) => s.members.map((m) => [m.role, m.node]))).toEqual([
      [
        ["trainer", "t0"],
        ["rollout", "r0"],
      ],
    ]);
  });

  describe("a gang of roles on two pools", () => {
    const rl = [role(2, { name: "trainer", pools: ["a"] }), role(1, { name: "rollout", pools: ["b"] })];
    /** Jobs of one node each, by pool, that run. */
    const engineWith = (running: Record<string, string>, more: Partial<JobInput> = {}): PlacementEngine => {
      const engine = createEngine({ policy: { protectedRuntimeMs: 0 } });
      engine.putQueue({ id: "q" });
      for (const id of ["a0", "a1"]) engine.putNode(node(id));
      for (const id of ["b0", "b1"]) engine.putNode(node(id, { pool: "b", accelerator: "h20" }));
      for (const [id, pool] of Object.entries(running)) engine.submit(job(id, { variants: [{ pools: [pool] }], ...more }));
      engine.cycle(1);
      return engine;
    };

    it("has what is less urgent stopped in whichever pool it lacks room, and nothing in the other", () => {
      for (const [running, gone] of [
        [{ x: "b", y: "b" }, 1],
        [{ x: "a", y: "b" }, 1],
        [{ x: "a", y: "a", z: "b", w: "b" }, 3],
      ] as const) {
        const engine = engineWith(running);
        engine.submit(job("rl", { roles: rl, priority: 1 }));
        const { evictions } = engine.cycle(2);
        expect(evictions).toHaveLength(gone);
        expect(engine.waitReason("rl")).toBe("waiting_for_preemption");
        for (const { job: id } of evictions) engine.released(id, 3);
        expect(engine.cycle(3).starts.map((start) => start.job)).toContain("rl");
      }
    });

    it("has nothing stopped where one of its pools could not be cleared", () => {
      const engine = engineWith({ x: "a", y: "a" });
      engine.submit(job("fixed", { preemptible: false, roles: [role(2)], variants: [{ pools: ["b"] }] }));
      engine.cycle(2);
      engine.submit(job("rl", { roles: rl, priority: 1 }));
      expect(engine.cycle(3).evictions).toEqual([]);
    });

    it("is told when its pools will have room", () => {
      const engine = engineWith({ x: "b", y: "b" }, { preemptible: false, expectedDuration: 60_000, timeLimit: 90_000 });
      engine.submit(job("rl", { roles: rl }));
      engine.cycle(2);
      expect(engine.explain("rl").estimate).toMatchObject({ p50: 60_001, p90: 90_001 });
    });
  });
});
