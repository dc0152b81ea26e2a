import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import type { PlacementEngine } from "./index.ts";
import { cluster, HOUR, job, MINUTE, node, started } from "./testing/small.ts";

describe("backfill", () => {
  it("lets smaller jobs run only where they end before a waiting large one is due", () => {
    const engine = cluster(3);
    engine.submit(job("running", 2, { expectedDuration: HOUR }));
    expect(started(engine, 0)).toEqual(["running"]);
    engine.submit(job("large", 3));
    expect(started(engine, 1)).toEqual([]);
    engine.submit(job("long", 1, { expectedDuration: 2 * HOUR }));
    engine.submit(job("unknown", 1));
    engine.submit(job("short", 1, { expectedDuration: 30 * MINUTE }));
    expect(started(engine, 2)).toEqual(["short"]);
    expect(engine.explain("large").estimate).toMatchObject({ p50: HOUR, p90: HOUR });
    engine.finished("short", 30 * MINUTE);
    engine.finished("running", HOUR);
    expect(started(engine, HOUR)[0]).toBe("large");
  });

  it("lets the one of several alike run that ends in time, whenever it comes", () => {
    const engine = cluster(3);
    engine.submit(job("running", 2, { expectedDuration: 50 * MINUTE }));
    engine.cycle(0);
    engine.submit(job("large", 3));
    engine.submit(job("longer", 1, { timeLimit: 65 * MINUTE }));
    engine.submit(job("long", 1, { timeLimit: 60 * MINUTE }));
    expect(engine.cycle(1).starts).toEqual([]);
    engine.submit(job("short", 1, { timeLimit: 40 * MINUTE }));
    engine.submit(job("shorter", 1, { timeLimit: 36 * MINUTE }));
    expect(engine.cycle(2).starts.map((start) => start.job)).toEqual(["short"]);
    engine.finished("short", 3);
    engine.submit(job("late", 1, { timeLimit: 38 * MINUTE }));
    expect(engine.cycle(4).starts.map((start) => start.job)).toEqual(["shorter"]);
    engine.finished("shorter", 5);
    expect(engine.cycle(6).starts.map((start) => start.job)).toEqual(["late"]);
  });

  it("starts before a window whatever ends before it, of several alike", () => {
    const engine = cluster(1);
    engine.putWindow({ id: "repair", nodes: ["n0"], start: 50 * MINUTE, end: 60 * MINUTE });
    engine.submit(job("long", 1, { timeLimit: 60 * MINUTE }));
    engine.submit(job("short", 1, { timeLimit: 40 * MINUTE }));
    expect(engine.cycle(1).starts.map((start) => start.job)).toEqual(["short"]);
  });

  it("breaks nothing when run times are wrong", () => {
    const engine = cluster(2);
    engine.submit(job("running", 1, { expectedDuration: HOUR }));
    engine.submit(job("large", 2));
    engine.submit(job("small", 1, { expectedDuration: 30 * MINUTE }));
    expect(started(engine, 0)).toEqual(["running", "small"]);
    // Both overrun; the large job waits on, and starts when they do end.
    expect(started(engine, 2 * HOUR)).toEqual([]);
    engine.finished("running", 3 * HOUR);
    expect(started(engine, 3 * HOUR)).toEqual([]);
    engine.finished("small", 4 * HOUR);
    expect(started(engine, 4 * HOUR)).toEqual(["large"]);
  });

  it("learns how long a class of jobs runs", () => {
    const engine = cluster(2);
    engine.submit(job("first", 1, { jobClass: "resnet" }));
    engine.cycle(0);
    engine.finished("first", HOUR);
    engine.submit(job("second", 1, { jobClass: "resnet" }));
    engine.cycle(HOUR);
    engine.submit(job("large", 2));
    engine.cycle(HOUR + 1);
    expect(engine.explain("large").estimate.p50).toBe(2 * HOUR);
  });
});

describe("estimated starts", () => {
  const clock = (): number => 0;
  function queued(): PlacementEngine {
    const engine = cluster(2);
    for (const id of ["a", "b", "c", "d", "e", "f"]) engine.submit(job(id, 1, { expectedDuration: HOUR, timeLimit: 2 * HOUR }));
    expect(started(engine, 0)).toEqual(["a", "b"]);
    return engine;
  }
  const p50s = (engine: PlacementEngine): unknown[] => ["c", "d", "e", "f"].map((id) => engine.explain(id).estimate.p50);

  it("count the jobs ahead, on demand by their work", () => {
    const engine = queued();
    expect(engine.explain("c").estimate).toMatchObject({ p50: HOUR, p90: 2 * HOUR });
    expect(engine.explain("f").estimate.p50).toBeGreaterThanOrEqual(2 * HOUR);
    expect(engine.explain("f").estimate.basis).toContain("3 jobs ahead");
    expect(engine.plan(job("what", 1), 0).explanation?.estimate.p50).toBeGreaterThanOrEqual(2.5 * HOUR);
  });

  it("are played through for all waiting jobs in the background", () => {
    const engine = queued();
    expect(engine.estimates(0, 1, clock)).toBe(true);
    expect(p50s(engine)).toEqual([HOUR, HOUR, 2 * HOUR, 2 * HOUR]);
    expect(engine.explain("f").estimate).toMatchObject({ p90: 4 * HOUR });
    // A minute later they are no longer given as they are.
    engine.cycle(2 * MINUTE);
    expect(engine.explain("f").estimate.basis).toContain("3 jobs ahead");
  });

  it("may be worked on in slices while things change", () => {
    const engine = queued();
    let time = 0;
    let slices = 0;
    for (; !engine.estimates(slices, 1, () => (time += 1)); slices++) {
      if (slices === 2) engine.removeJob("d");
      if (slices === 4) engine.finished("a", slices);
      if (slices === 6) engine.cycle(slices);
      expect(slices).toBeLessThan(1000);
    }
    expect(slices).toBeGreaterThan(2);
    expect(engine.explain("f").estimate.p50).toBeGreaterThanOrEqual(HOUR);
  });

  it("take turns between queues by priority and share, and say so when they cannot be known", () => {
    const engine = cluster(1);
    engine.putQueue({ id: "r" });
    engine.submit(job("first", 1, { expectedDuration: HOUR }));
    engine.cycle(0);
    engine.submit(job("low", 1, { expectedDuration: HOUR }));
    engine.submit(job("other", 1, { queue: "r", expectedDuration: HOUR }));
    engine.submit(job("urgent", 1, { priority: 1, expectedDuration: HOUR }));
    engine.cycle(1);
    engine.estimates(1, 1, clock);
    const at = (id: string): number | null => engine.explain(id).estimate.p50;
    expect([at("urgent"), at("other"), at("low")].map((p50) => Math.round((p50 ?? NaN) / HOUR))).toEqual([1, 2, 3]);
    engine.submit(job("endless", 1, { queue: "r" }));
    engine.submit(job("last", 1, { queue: "r" }));
    engine.estimates(2, 1, clock);
    expect(at("last")).toBeNull();
  });
});

describe("windows and leases", () => {
  it("start nothing that cannot end or checkpoint before one", () => {
    const engine = cluster(1);
    engine.putWindow({ id: "maintenance", nodes: ["n0"], start: HOUR, end: 2 * HOUR });
    engine.submit(job("long", 1, { timeLimit: 2 * HOUR }));
    expect(started(engine, 0)).toEqual([]);
    engine.submit(job("short", 1, { timeLimit: 30 * MINUTE }));
    expect(started(engine, 1)).toEqual(["short"]);
    engine.finished("short", 30 * MINUTE);
    engine.submit(job("checkpoints", 1, { preemptible: true, checkpoint: {} }));
    expect(started(engine, 31 * MINUTE)).toEqual(["checkpoints"]);
    engine.finished("checkpoints", HOUR);
    expect(engine.cycle(HOUR + 1)).toMatchObject({ starts: [], wakeAt: 2 * HOUR });
    expect(started(engine, 2 * HOUR)).toEqual(["long"]);
  });

  it("keep nodes for those whom a reservation names", () => {
    const engine = cluster(1);
    engine.putWindow({ id: "demo", nodes: ["n0"], start: 0, end: HOUR, jobs: ["guest"] });
    engine.submit(job("other", 1));
    engine.submit(job("guest", 1));
    expect(started(engine, 1)).toEqual(["guest"]);
  });

  it("keep nodes for queues, and say what keeps a job off them and what would help", () => {
    const engine = cluster(1);
    engine.putQueue({ id: "guests" });
    engine.putWindow({ id: "course", nodes: ["n0"], start: HOUR, end: 2 * HOUR, queues: ["guests"] });
    engine.submit(job("other", 1, { timeLimit: 3 * HOUR }));
    expect(started(engine, 0)).toEqual([]);
    expect(engine.explain("other")).toMatchObject({ reason: "insufficient_capacity" });
    const { message, wouldFitIf, filtered } = engine.explain("other");
    expect(message).toContain('window "course" on 1 nodes begins at 1970-01-01T01:00:00.000Z');
    expect(wouldFitIf[0]).toContain("its time limit is at most 3600 s");
    expect(filtered).toMatchObject([{ nodes: 1, sampleNodes: ["n0"] }]);
    engine.submit(job("guest", 1, { queue: "guests", timeLimit: 3 * HOUR }));
    expect(started(engine, 1)).toEqual(["guest"]);
  });

  it("are kept by jobs that evict, move or grow, and by what-ifs", () => {
    const engine = cluster(2, { protectedRuntimeMs: 0 });
    engine.submit(job("low", 1, { preemptible: true, checkpoint: {}, preferredNodes: ["n0"] }));
    engine.submit(job("fixed", 1, { preferredNodes: ["n1"] }));
    engine.submit(job("grows", 1, { queue: "q", roles: [{ name: "worker", nodes: { min: 1, max: 2 }, resources: { accelerators: 8 } }] }));
    expect(started(engine, 0)).toEqual(["low", "fixed"]);
    engine.putWindow({ id: "maintenance", nodes: ["n0"], start: HOUR, end: 2 * HOUR });
    engine.submit(job("urgent", 1, { priority: 1, timeLimit: 2 * HOUR }));
    expect(engine.cycle(MINUTE)).toMatchObject({ starts: [], evictions: [], moves: [] });
    expect(engine.plan(job("quick", 1, { priority: 1, timeLimit: 30 * MINUTE }), MINUTE).evictions).toEqual(["low"]);
    engine.removeJob("low");
    expect(started(engine, MINUTE + 1)).toEqual([]);
    expect(engine.plan(job("slow", 1, { priority: 2, timeLimit: 2 * HOUR }), MINUTE + 2)).toMatchObject({ start: null, evictions: [] });
    expect(engine.plan(job("quick", 1, { priority: 2, timeLimit: 30 * MINUTE }), MINUTE + 2).start?.members[0]?.node).toBe("n0");
    engine.removeWindow("maintenance");
    expect(started(engine, MINUTE + 3)).toEqual(["urgent"]);
  });

  it("keep no job that may be stopped behind one that may not, where a lease ends", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putPool({ id: "leased", ownership: "leased", leaseEnd: HOUR });
    engine.putNode({ id: "l0", pool: "leased", accelerator: "x", devices: 8, cpuMillis: 1, memoryBytes: 1, schedulable: true });
    engine.submit(job("fixed", 1, { timeLimit: 2 * HOUR }));
    engine.submit(job("movable", 1, { preemptible: true, timeLimit: 2 * HOUR }));
    expect(engine.cycle(0).starts.map((start) => start.job)).toEqual(["movable"]);
  });

  it("prefer owned nodes, and leave a lease that ends too soon", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putPool({ id: "cloud", ownership: "cloud", price: 3 });
    engine.putPool({ id: "leased", ownership: "leased", leaseEnd: HOUR });
    engine.putNode(node("c0", { pool: "cloud" }));
    engine.putNode(node("l0", { pool: "leased" }));
    engine.putNode(node("o0", { pool: "own" }));
    for (const id of ["a", "b", "c"]) engine.submit(job(id, 1, { timeLimit: 2 * HOUR }));
    expect(engine.cycle(0).starts.map((start) => start.members[0]!.node)).toEqual(["o0", "c0"]);
    engine.submit(job("short", 1, { timeLimit: 30 * MINUTE }));
    expect(engine.cycle(1).starts.map((start) => [start.job, start.members[0]!.node])).toEqual([["short", "l0"]]);
  });
});
