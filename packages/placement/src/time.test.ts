import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import type { JobInput, NodeInput, PlacementEngine, Policy } from "./index.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function node(id: string, more: Partial<NodeInput> = {}): NodeInput {
  return { id, pool: "a", accelerator: "h800", devices: 8, cpuMillis: 64_000, memoryBytes: 1e12, schedulable: true, ...more };
}

let submitted = 0;
function job(id: string, nodes: number, more: Partial<JobInput> = {}, devices = 8): JobInput {
  return {
    id,
    queue: "q",
    priority: 0,
    preemptible: false,
    submittedAt: ++submitted,
    roles: [{ name: "worker", nodes: { min: nodes, max: nodes }, resources: { accelerators: devices } }],
    ...more,
  };
}

function cluster(nodes: number, policy: Partial<Policy> = {}): PlacementEngine {
  const engine = createEngine({ policy });
  engine.putQueue({ id: "q" });
  for (let i = 0; i < nodes; i++) engine.putNode(node(`n${i}`));
  return engine;
}

const started = (engine: PlacementEngine, now: number): string[] => engine.cycle(now).starts.map((start) => start.job);

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

describe("choice of hardware", () => {
  const variants = [
    { accelerators: ["k80"], throughput: 1 },
    { accelerators: ["v100"], throughput: 4 },
  ];

  const untold = variants.map(({ accelerators }) => ({ accelerators }));

  function mixed(): PlacementEngine {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putPool({ id: "slow", price: 1 });
    engine.putPool({ id: "fast", price: 5 });
    for (let i = 0; i < 2; i++) {
      engine.putNode(node(`k${i}`, { pool: "slow", accelerator: "k80" }));
      engine.putNode(node(`v${i}`, { pool: "fast", accelerator: "v100" }));
    }
    return engine;
  }

  it("follows the variant policy", () => {
    const engine = mixed();
    engine.submit(job("ordered", 1, { variants }));
    engine.submit(job("fastest", 1, { variants, variantPolicy: "fastest" }));
    engine.submit(job("cheapest", 1, { variants, variantPolicy: "cheapest" }));
    const chosen = Object.fromEntries(engine.cycle(0).starts.map((start) => [start.job, start.variant]));
    expect(chosen).toEqual({ ordered: 0, fastest: 1, cheapest: 0 });
  });

  it("learns from finished runs what is faster", () => {
    const engine = mixed();
    for (const [i, hours] of [
      [0, 1],
      [1, 2],
    ] as const) {
      engine.submit(job(`run${i}`, 1, { variants: untold, stickyVariant: i, jobClass: "odd" }));
      engine.cycle(i * 3 * HOUR);
      engine.finished(`run${i}`, i * 3 * HOUR + hours * HOUR);
    }
    engine.submit(job("next", 1, { variants: untold, variantPolicy: "fastest", jobClass: "odd" }));
    expect(engine.cycle(6 * HOUR).starts[0]).toMatchObject({ job: "next", variant: 0 });
  });

  it("tries what no run has shown yet, and goes by what runs show from then on", () => {
    const engine = mixed();
    const one = (id: string, at: number): string => {
      engine.submit(job(id, 1, { variants: untold, variantPolicy: "fastest", jobClass: "even" }));
      return engine.cycle(at).starts[0]!.members[0]!.node.slice(0, 1);
    };
    engine.learn([{ jobClass: "even", accelerator: "k80", runTime: HOUR }]);
    expect(one("first", 0)).toBe("v");
    engine.finished("first", 2 * HOUR);
    expect(one("second", 2 * HOUR)).toBe("k");
  });

  it("lets no more jobs span zones than the operator allows", () => {
    const engine = createEngine({ policy: { maxCrossZoneJobs: 1, consolidation: false } });
    engine.putQueue({ id: "q" });
    for (let i = 0; i < 6; i++) engine.putNode(node(`n${i}`, { fabric: { zone: `z${i >> 1}` } }));
    engine.submit(job("one", 3));
    engine.submit(job("two", 3));
    expect(started(engine, 0)).toEqual(["one"]);
    engine.submit(job("three", 2));
    expect(started(engine, 1)).toEqual(["three"]);
  });
});

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

describe("a power budget", () => {
  function budgeted(watts: number): PlacementEngine {
    const engine = createEngine({ policy: { protectedRuntimeMs: 0, consolidation: false } });
    engine.putQueue({ id: "q" });
    engine.putPool({ id: "a", powerBudget: watts, devicePower: 500 });
    for (let i = 0; i < 2; i++) for (const accelerator of ["h800", "h20"]) engine.putNode(node(`${accelerator}-${i}`, { accelerator }));
    return engine;
  }
  const on = (id: string, accelerator: string, devices: number, more: Partial<JobInput> = {}): JobInput =>
    job(id, 1, { variants: [{ accelerators: [accelerator] }], ...more }, devices);

  it("limits the devices of the pool that are in use, of all models together, and says so", () => {
    const engine = budgeted(6000);
    engine.submit(on("first", "h800", 8));
    engine.submit(on("second", "h20", 8));
    engine.submit(on("small", "h20", 4));
    expect(started(engine, 0)).toEqual(["first", "small"]);
    expect(engine.explain("second")).toMatchObject({ reason: "insufficient_capacity", filtered: [{ why: "power budget of pool a", nodes: 2 }] });
    expect(engine.explain("second").message).toContain("power budget of pool a leaves 0 more");
    expect(started(engine, 1)).toEqual([]);
    engine.finished("first", 2);
    expect(started(engine, 2)).toEqual(["second"]);
  });

  it("is kept when it is changed, by growth, and by what is evicted for a more urgent job", () => {
    const engine = budgeted(4000);
    engine.submit(on("low", "h800", 8, { preemptible: true }));
    expect(started(engine, 0)).toEqual(["low"]);
    engine.submit(on("high", "h800", 8, { priority: 1 }));
    expect(engine.cycle(1)).toMatchObject({ starts: [], evictions: [{ job: "low" }] });
    engine.released("low", 2);
    expect(started(engine, 2)).toEqual(["high"]);
    engine.putPool({ id: "a", powerBudget: 8000, devicePower: 500 });
    expect(started(engine, 3)).toEqual(["low"]);
    engine.finished("high", 4);
    engine.finished("low", 4);
    engine.submit(job("elastic", 1, { roles: [{ name: "worker", nodes: { min: 1, max: 2 }, resources: { accelerators: 8 } }] }));
    engine.putPool({ id: "a", powerBudget: 4000, devicePower: 500 });
    expect(engine.cycle(5).starts[0]?.members).toHaveLength(1);
    expect(engine.cycle(6).grows).toEqual([]);
    engine.putPool({ id: "a", powerBudget: 8000, devicePower: 500 });
    expect(engine.cycle(7).grows).toHaveLength(1);
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
