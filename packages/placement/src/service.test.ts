import { describe, expect, it } from "vitest";
import { createEngine } from "./engine.ts";
import type { JobInput } from "./job-input.ts";
import type { PlacementEngine } from "./placement-engine.ts";
import type { QueueInput } from "./queue-input.ts";

const MINUTE = 60_000;

function cluster(nodes: number, queue: Partial<QueueInput> = {}): PlacementEngine {
  const engine = createEngine({ policy: { protectedRuntimeMs: 0 } });
  for (let i = 0; i < nodes; i++) {
    engine.putNode({ id: `n${i}`, pool: "gpu", accelerator: "gpu", devices: 8, cpuMillis: 1, memoryBytes: 1, schedulable: true });
  }
  engine.putQueue({ id: "q", order: "least_service", ...queue });
  return engine;
}

function job(id: string, minutes: number | undefined, more: Partial<JobInput> = {}): JobInput {
  return {
    id,
    queue: "q",
    priority: 0,
    preemptible: true,
    submittedAt: 0,
    roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: 8 } }],
    ...(minutes === undefined ? {} : { expectedDuration: minutes * MINUTE }),
    ...more,
  };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const started = (engine: PlacementEngine, now: number): string[] => engine.cycle(now).starts.map((start) => start.job);

describe("a queue that goes by least service", () => {
  it("starts what needs least first, whoever came first, and one of higher priority before all", () => {
    const engine = cluster(2);
    engine.submit(job("long", 900));
    engine.submit(job("short", 10, { submittedAt: 5 }));
    engine.submit(job("middle", 100, { submittedAt: 5 }));
    engine.submit(job("urgent", 9000, { submittedAt: 5, priority: 1 }));
    expect(started(engine, 10)).toEqual(["urgent", "short"]);
    engine.finished("short", 10 * MINUTE);
    expect(started(engine, 10 * MINUTE)).toEqual(["middle"]);
  });

  it("stops what needs more for it, once, and what was done counts", () => {
    const engine = cluster(1);
    engine.submit(job("long", 300));
    expect(started(engine, 0)).toEqual(["long"]);
    engine.submit(job("short", 60));
    const result = engine.cycle(MINUTE);
    expect(result.evictions).toMatchObject([{ job: "long", cause: { kind: "priority", forJob: "short", message: expect.stringContaining("less service") } }]);
    engine.updateJob(job("long", 299, { ran: MINUTE }));
    engine.released("long", MINUTE);
    expect(started(engine, MINUTE)).toEqual(["short"]);
    for (let i = 2; i < 7; i++) expect(engine.cycle(i * MINUTE)).toMatchObject({ starts: [], evictions: [], moves: [] });
    engine.finished("short", 61 * MINUTE);
    expect(started(engine, 61 * MINUTE)).toEqual(["long"]);
    // 299 minutes were left of it, 199 now: of two that need 220, neither goes before it.
    engine.submit(job("other", 220, { submittedAt: 161 * MINUTE }));
    expect(engine.cycle(161 * MINUTE)).toMatchObject({ starts: [], evictions: [] });
  });

  it("stops only as much as there is too little, where moving what stays makes the room one piece", () => {
    const engine = cluster(2);
    const sized = (id: string, devices: number, minutes: number, submittedAt = 0): JobInput =>
      job(id, minutes, {
        submittedAt,
        roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: devices } }],
        checkpoint: { writes: true },
      });
    // Two devices are free on each node. Where the long one stops, a small one is still in the way.
    const stands = { a: ["n0", 4, 0], b: ["n0", 2, 4], c: ["n1", 4, 0], d: ["n1", 2, 4] } as const;
    for (const [id, [on, devices, first]] of Object.entries(stands)) {
      engine.submit(sized(id, devices, id === "c" ? 900 : 30));
      const members = [{ role: "worker", rank: 0, node: on, devices: range(first, first + devices), share: 1000, cpuMillis: 0, memoryBytes: 0 }];
      engine.started(id, { variant: 0, members, startedAt: 0, lastCheckpointAt: MINUTE });
    }
    engine.submit(sized("whole", 8, 60, MINUTE));
    const { evictions, moves, starts } = engine.cycle(MINUTE);
    expect(starts).toEqual([]);
    expect(evictions.map((one) => one.job)).toEqual(["c"]);
    expect(moves).toMatchObject([{ job: "d", start: { members: [{ node: "n0" }] } }]);
    for (const { job: id } of [...evictions, ...moves]) engine.released(id, MINUTE);
    const next = engine.cycle(MINUTE);
    expect(next.starts.map((start) => start.job)).toContain("whole");
    expect(next.evictions).toEqual([]);
    for (let i = 2; i < 7; i++) expect(engine.cycle(i * MINUTE)).toMatchObject({ evictions: [], moves: [] });
  });

  it("takes back what its queue lent, together with what its own gives up for that", () => {
    for (const reclaim of ["nominal", "fair_share"] as const) {
      const engine = cluster(4, { quotas: [{ resource: "accelerators", nominal: 16_000 }] });
      engine.setPolicy({ reclaim });
      engine.putQueue({ id: "other", order: "least_service", quotas: [{ resource: "accelerators", nominal: 16_000 }] });
      engine.submit(job("own", 900));
      for (const id of ["x", "y", "z"]) engine.submit(job(id, 100, { queue: "other" }));
      expect(started(engine, 0)).toHaveLength(4);
      const roles = [{ name: "worker", nodes: { min: 2, max: 2 }, resources: { accelerators: 8 } }];
      engine.submit(job("wide", 10, { submittedAt: MINUTE, roles }));
      const { evictions } = engine.cycle(MINUTE);
      expect(evictions.map(({ job: id, cause }) => [id === "own" ? id : "lent", cause.kind, cause.forJob])).toEqual([
        ["own", "priority", "wide"],
        ["lent", "reclaim", "wide"],
      ]);
      for (const { job: id } of evictions) engine.released(id, MINUTE);
      expect(started(engine, MINUTE)).toEqual(["wide"]);
      for (let i = 2; i < 7; i++) expect(engine.cycle(i * MINUTE)).toMatchObject({ starts: [], evictions: [], moves: [] });
    }
  });

  it("lets a job wait for one that ends just before it would", () => {
    const engine = cluster(1);
    engine.submit(job("running", 61));
    engine.cycle(0);
    engine.submit(job("same", 60));
    expect(engine.cycle(MINUTE).evictions).toEqual([]);
  });

  it("stops nothing of its own where the queue says so, and never what must not be preempted", () => {
    for (const [queue, more] of [
      [{ withinQueue: "never" as const }, {}],
      [{}, { preemptible: false }],
    ] as const) {
      const engine = cluster(1, queue);
      engine.submit(job("long", 300, more));
      engine.cycle(0);
      engine.submit(job("short", 1));
      expect(engine.cycle(MINUTE).evictions).toEqual([]);
    }
  });

  it("learns from finished jobs where nothing is said, and asks to be woken when what runs may have had its turn", () => {
    const engine = cluster(1);
    let now = 0;
    for (let i = 0; i < 60; i++) {
      engine.submit(job(`past${i}`, undefined, { submittedAt: now }));
      engine.cycle(now);
      now += i % 6 === 0 ? 2000 * MINUTE : MINUTE;
      engine.finished(`past${i}`, now);
    }
    engine.submit(job("old", undefined, { submittedAt: now }));
    expect(started(engine, now)).toEqual(["old"]);
    engine.submit(job("young", undefined, { submittedAt: now }));
    const first = engine.cycle(now);
    expect(first.evictions).toEqual([]);
    expect(first.wakeAt).toBeLessThanOrEqual(now + 10 * MINUTE);
    // By now it is one of the few that run for long.
    const later = now + 20 * MINUTE;
    expect(engine.cycle(later).evictions).toMatchObject([{ job: "old", cause: { forJob: "young" } }]);
  });

  it("goes by what is left of a restored job, and takes up a change of the queue's order", () => {
    const engine = cluster(1);
    engine.submit(job("restored", 20, { ran: 280 * MINUTE }));
    engine.submit(job("short", 30));
    expect(started(engine, MINUTE)).toEqual(["restored"]);
    engine.putQueue({ id: "q", order: "best_effort" });
    engine.submit(job("shorter", 2, { submittedAt: 7 }));
    engine.finished("restored", 2 * MINUTE);
    expect(started(engine, 2 * MINUTE)).toEqual(["short"]);
  });
});
