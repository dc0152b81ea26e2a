import { describe, expect, it } from "vitest";
import { createEngine, type JobInput, type PlacementEngine } from "./index.ts";

/** Four fast devices and four slow ones. */
function cluster(): PlacementEngine {
  const engine = createEngine();
  engine.putQueue({ id: "q" });
  for (const kind of ["v100", "k80"]) {
    for (let i = 0; i < 4; i++)
      engine.putNode({ id: `${kind}-${i}`, pool: kind, accelerator: kind, devices: 1, cpuMillis: 1000, memoryBytes: 1, schedulable: true });
  }
  return engine;
}

function submit(engine: PlacementEngine, id: string, slow: number, more: Partial<JobInput> = {}): void {
  engine.submit({
    id,
    queue: "q",
    priority: 0,
    preemptible: false,
    submittedAt: 0,
    roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: 1 } }],
    variants: [
      { accelerators: ["v100"], throughput: 10 },
      { accelerators: ["k80"], throughput: 10 * slow },
    ],
    variantPolicy: "fastest",
    ...more,
  });
}

describe("jobs that go by speed", () => {
  it("leave the fast devices to those who gain most by them, whoever came first", () => {
    const engine = cluster();
    for (let i = 0; i < 4; i++) submit(engine, `even-${i}`, 0.9);
    for (let i = 0; i < 4; i++) submit(engine, `steep-${i}`, 0.1);
    const { starts } = engine.cycle(1000);
    expect(starts).toHaveLength(8);
    for (const { job, members } of starts) expect(members[0]!.node).toMatch(job.startsWith("steep") ? /^v100/ : /^k80/);
  });

  it("take the fastest while there is enough of it, and wait for it rather than be ten times as long on another", () => {
    const engine = cluster();
    for (let i = 0; i < 4; i++) submit(engine, `even-${i}`, 0.9);
    for (const { members } of engine.cycle(1000).starts) expect(members[0]!.node).toMatch(/^v100/);
    submit(engine, "steep", 0.1);
    expect(engine.cycle(3000).starts).toEqual([]);
    expect(engine.explain("steep")).toMatchObject({ reason: "insufficient_capacity", message: expect.stringContaining("0 fit now in pool v100") });
    engine.finished("even-2", 4000);
    expect(engine.cycle(4000).starts[0]?.members[0]?.node).toMatch(/^v100/);
  });

  it("are looked at when prices have followed what others ask, which is not at once", () => {
    const engine = cluster();
    for (let i = 0; i < 4; i++) submit(engine, `even-${i}`, 0.9);
    engine.cycle(1000);
    submit(engine, "steep", 0.3);
    expect(engine.cycle(1500)).toMatchObject({ starts: [], wakeAt: 2000 });
    for (let i = 0; i < 4; i++) submit(engine, `more-${i}`, 0.3);
    expect(engine.cycle(2000).starts).toHaveLength(4);
  });

  it("take slow devices too where all want the fast ones more than there are", () => {
    const engine = cluster();
    for (let i = 0; i < 12; i++) submit(engine, `steep-${i}`, 0.3);
    let started = 0;
    for (let now = 1000; now < 60_000; now += 5000) started += engine.cycle(now).starts.length;
    expect(started).toBe(8);
  });

  describe("and run where they are slow", () => {
    const movable = { preemptible: true, checkpoint: { writes: true } };
    const MINUTES = 60_000;
    /** All of the fast devices are taken, and `slow` runs on another. */
    function full(more: Partial<JobInput>, speed = 0.6): PlacementEngine {
      const engine = cluster();
      for (let i = 0; i < 4; i++) submit(engine, `first-${i}`, 0.5);
      engine.cycle(1000);
      submit(engine, "slow", speed, more);
      expect(engine.cycle(2000).starts[0]?.members[0]?.node).toMatch(/^k80/);
      return engine;
    }

    it("move to a fast device when one is free, once, and not before they have run for a while", () => {
      const engine = full(movable);
      engine.finished("first-0", 2 * MINUTES);
      engine.checkpointed("slow", 2 * MINUTES);
      expect(engine.cycle(2 * MINUTES).moves).toEqual([]);
      engine.checkpointed("slow", 9 * MINUTES);
      const { moves } = engine.cycle(10 * MINUTES);
      expect(moves).toMatchObject([{ job: "slow", cause: { kind: "speed", forJob: "slow" }, lostWork: MINUTES, start: { members: [{ node: "v100-0" }] } }]);
      engine.released("slow", 11 * MINUTES);
      expect(engine.cycle(11 * MINUTES).starts[0]?.members[0]?.node).toBe("v100-0");
      for (let minute = 20; minute < 60; minute += 5) expect(engine.cycle(minute * MINUTES)).toMatchObject({ starts: [], moves: [], evictions: [] });
    });

    it("stay where a move would lose much work, gain little, or may not be made at all", () => {
      for (const engine of [full({ ...movable, preemptible: false }), full({ preemptible: true }), full(movable, 0.9), full(movable)]) {
        engine.finished("first-0", 2 * MINUTES);
        expect(engine.cycle(30 * MINUTES).moves).toEqual([]);
      }
    });

    it("go to a slow one that is free where they lose little, and many who wait gain much by the fast one", () => {
      const engine = cluster();
      for (let i = 0; i < 4; i++) submit(engine, `even-${i}`, 0.9, movable);
      expect(engine.cycle(1000).starts).toHaveLength(4);
      for (let i = 0; i < 4; i++) submit(engine, `steep-${i}`, 0.1);
      for (let i = 0; i < 4; i++) engine.checkpointed(`even-${i}`, 10 * MINUTES);
      const { moves } = engine.cycle(10 * MINUTES);
      expect(moves.map(({ job, start }) => `${job} ${start.members[0]!.node.slice(0, 3)}`).sort()).toEqual([0, 1, 2, 3].map((i) => `even-${i} k80`));
      for (let i = 0; i < 4; i++) engine.released(`even-${i}`, 11 * MINUTES);
      const { starts } = engine.cycle(11 * MINUTES);
      for (const { job, members } of starts) expect(members[0]!.node).toMatch(job.startsWith("steep") ? /^v100/ : /^k80/);
      expect(starts).toHaveLength(8);
      for (let minute = 20; minute < 60; minute += 5) expect(engine.cycle(minute * MINUTES)).toMatchObject({ starts: [], moves: [], evictions: [] });
    });

    it("leave a fast device to who can use no other", () => {
      const engine = full(movable);
      engine.submit({
        id: "wide",
        queue: "q",
        priority: 0,
        preemptible: false,
        submittedAt: 3000,
        roles: [{ name: "worker", nodes: { min: 2, max: 2 }, resources: { accelerators: 1 } }],
        variants: [{ accelerators: ["v100"] }],
      });
      engine.finished("first-0", 9 * MINUTES);
      engine.checkpointed("slow", 9 * MINUTES);
      expect(engine.cycle(10 * MINUTES)).toMatchObject({ starts: [], moves: [] });
    });
  });
});
