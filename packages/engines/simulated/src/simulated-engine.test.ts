import { describe, expect, test } from "vitest";
import { Unreachable, type Observation, type WorkerStart } from "@muster/engine";
import { conformanceStart, engineConformance, type Behaviour } from "@muster/engine/conformance";
import { SimulatedEngine, VirtualClock, type Act, type Script } from "./index.ts";

/** Behaviours travel in argv, as they would to a real process. */
function behave(behaviour: Behaviour): Pick<WorkerStart, "argv" | "env" | "files"> {
  return { argv: ["simulated", JSON.stringify(behaviour)], env: {}, files: [] };
}

function outcome(start: WorkerStart): Script {
  const behaviour = JSON.parse(start.argv[1] as string) as Behaviour;
  const acts: Script["acts"] = [];
  const add = (act: Act): unknown => acts.push({ after: 5, act });
  for (const line of ("print" in behaviour ? behaviour.print : undefined) ?? []) {
    add({ kind: "print", line });
    const progress = /step=(\d+)\/(\d+) loss=(\S+) rate=(\S+)/.exec(line);
    if (progress) add({ kind: "progress", step: Number(progress[1]), total: Number(progress[2]), loss: Number(progress[3]), rate: Number(progress[4]) });
  }
  if (behaviour.kind === "stubborn") add({ kind: "print", line: "ready" });
  if (behaviour.kind === "exit") add({ kind: "exit", code: behaviour.code });
  if (behaviour.kind === "signal") add({ kind: "signal", signal: behaviour.signal });
  if (behaviour.kind === "commit") add({ kind: "commit", step: behaviour.step });
  return { startsAfter: 10, acts, ...(behaviour.kind !== "stubborn" && { endsOnTerm: 5 }) };
}

const settle = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

engineConformance("the simulated engine", async () => {
  const clock = new VirtualClock();
  const engine = new SimulatedEngine({ shard: "simulated", nodes: ["node-a", "node-b"], clock, outcome });
  return {
    engine,
    nodes: ["node-a", "node-b"],
    behave,
    pass: async () => {
      clock.advance(20);
      await settle();
    },
    reconnect: () => Promise.resolve(engine),
    dispose: () => engine.close(),
  };
});

describe("the simulated engine misbehaves when told to", () => {
  const key = { job: "job_1", incarnation: "1", attempt: 1, worker: "worker/0" };
  const make = async (): Promise<{ engine: SimulatedEngine; clock: VirtualClock; seen: Observation[] }> => {
    const clock = new VirtualClock();
    const engine = new SimulatedEngine({ shard: "simulated", nodes: ["node-a"], clock, outcome });
    const seen: Observation[] = [];
    void (async () => {
      for await (const batch of engine.observe("simulated", 0, new AbortController().signal)) seen.push(...batch);
    })().catch(() => {});
    await engine.start([conformanceStart(key, "node-a", behave({ kind: "run", print: ["step=1/2 loss=1 rate=1"] }))]);
    clock.advance(100);
    await settle();
    return { engine, clock, seen };
  };

  test("unreachable says nothing of its workers, which go on", async () => {
    const { engine, clock } = await make();
    engine.setReachable(false);
    await expect(engine.snapshot()).rejects.toBeInstanceOf(Unreachable);
    await expect(engine.stop([{ ...key, mode: "kill", grace: 0 }])).rejects.toBeInstanceOf(Unreachable);
    clock.advance(1000);
    engine.setReachable(true);
    expect((await engine.snapshot()).workers).toMatchObject([{ state: "running" }]);
  });

  test("a rebooted node has lost its workers and shows another boot id", async () => {
    const { engine, seen } = await make();
    const before = (await engine.snapshot()).nodes[0]?.bootId;
    engine.reboot("node-a");
    await settle();
    expect(seen.slice(-2)).toMatchObject([
      { kind: "lost", job: "job_1" },
      { kind: "node", node: "node-a" },
    ]);
    expect((await engine.snapshot()).nodes[0]?.bootId).not.toBe(before);
  });

  test("a hanging worker is ended by the kill alone", async () => {
    const { engine, clock, seen } = await make();
    engine.hang(key);
    await engine.stop([{ ...key, mode: "graceful", grace: 30 }]);
    clock.advance(29_000);
    await settle();
    expect(seen.some(({ kind }) => kind === "exited")).toBe(false);
    clock.advance(1000);
    await settle();
    expect(seen.at(-1)).toMatchObject({ kind: "exited", signal: "SIGKILL" });
  });

  test("kills hit what they are aimed at", async () => {
    const { engine } = await make();
    expect(engine.kill((one) => one.job === "job_2")).toBe(0);
    expect(engine.kill((_, node) => node === "node-a", "SIGSEGV")).toBe(1);
    expect((await engine.snapshot()).workers).toMatchObject([{ state: "exited", signal: "SIGSEGV" }]);
  });
});

describe("the virtual clock", () => {
  test("does what falls due in order of time, then of asking, and nothing called off", () => {
    const clock = new VirtualClock(1000);
    const done: string[] = [];
    clock.after(20, () => done.push("late"));
    clock.after(10, () => {
      done.push("first");
      clock.after(5, () => done.push("nested"));
    });
    clock.after(10, () => done.push("second"));
    clock.after(10, () => done.push("never"))();
    clock.advance(15);
    expect(done).toEqual(["first", "second", "nested"]);
    expect(clock.now()).toBe(1015);
    expect(clock.next()).toBe(1020);
  });

  test("keeps order among many", () => {
    const clock = new VirtualClock();
    const done: number[] = [];
    for (let i = 0; i < 500; i++) clock.after((i * 7919) % 500, () => done.push(clock.now()));
    clock.advance(500);
    expect(done).toHaveLength(500);
    expect(done).toEqual([...done].sort((a, b) => a - b));
  });
});
