import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kernelView } from "./stacks.ts";
import { script, testAgent, type TestAgent } from "./test-agent.ts";
import { Seen, someWorker, startOf } from "./test-watch.ts";

describe("what the kernel says of a process", () => {
  it("names it, its state and its threads; one that is gone is said to be", async () => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    await expect.poll(() => kernelView(child.pid as number), { timeout: 10_000 }).toMatch(/^sleep, state S\nthread sleep, .*(in \w+|system call \d+)/);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(kernelView(child.pid as number)).toBe("gone");
  });
});

describe("a worker that is to be looked at before it is killed", () => {
  let agent: TestAgent;
  let seen: Seen;
  beforeAll(async () => {
    agent = await testAgent();
    seen = await Seen.from(agent.engine);
  });
  afterAll(async () => {
    seen.close();
    await agent.dispose();
  });

  it("tells what its processes were doing, then ends; one that isn't to be looked at just ends", async () => {
    const [looked, plain] = [someWorker(), someWorker()];
    // a rank is there when it says so
    const asleep = script("RANK=0 sh -c 'echo up; sleep 600' & RANK=1 sleep 600");
    await agent.engine.start([startOf(looked, asleep, { ranks: 2 }), startOf(plain, asleep, { ranks: 2 })]);
    for (const key of [looked, plain]) await seen.wait("output", key);
    await agent.engine.stop([
      { ...looked, mode: "kill", grace: 0, inspect: true },
      { ...plain, mode: "kill", grace: 0 },
    ]);
    for (const key of [looked, plain]) await seen.wait("exited", key);
    const [told, ...more] = seen.of("stacks", looked.job);
    expect(more).toEqual([]);
    expect(told?.stacks.length).toBeGreaterThanOrEqual(1);
    for (const { text } of told?.stacks ?? []) expect(text).toMatch(/^\w+, state \w\nthread /);
    expect(seen.of("stacks", plain.job)).toEqual([]);
    expect(seen.all.indexOf(told as never)).toBeLessThan(seen.all.findIndex((one) => one.kind === "exited" && one.job === looked.job));
  });
});
