import { describe, expect, it } from "vitest";
import { createEngine, type PlacementEngine } from "./index.ts";

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

function submit(engine: PlacementEngine, id: string, slow: number): void {
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
    expect(engine.cycle(3000)).toMatchObject({ starts: [], wakeAt: 13_000 });
    expect(engine.explain("steep")).toMatchObject({ reason: "insufficient_capacity", message: expect.stringContaining("0 fit now in pool v100") });
    engine.finished("even-2", 4000);
    expect(engine.cycle(4000).starts[0]?.members[0]?.node).toMatch(/^v100/);
  });

  it("take slow devices too where all want the fast ones more than there are", () => {
    const engine = cluster();
    for (let i = 0; i < 12; i++) submit(engine, `steep-${i}`, 0.3);
    let started = 0;
    for (let now = 1000; now < 60_000; now += 5000) started += engine.cycle(now).starts.length;
    expect(started).toBe(8);
  });
});
