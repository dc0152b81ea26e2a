import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import type { JobInput, PlacementEngine } from "./index.ts";
import { HOUR, job, node, started } from "./testing/small.ts";

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
