import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Unreachable } from "@muster/engine";
import { startAgent, stopAgent } from "./index.ts";
import { findByMark, readStat, workerMark } from "./procs.ts";
import { script, testAgent, withoutPerl, type TestAgent } from "./test-agent.ts";
import { outputOf, Seen, someWorker, startOf, until } from "./test-watch.ts";

describe.each(["spawner.pl", "spawner.mjs"])("an agent that was killed, its workers forked by %s,", (program) => {
  let restore = (): void => {};
  beforeAll(() => {
    if (program === "spawner.mjs") restore = withoutPerl();
  });
  afterAll(() => restore());
  let agent: TestAgent;
  let seen: Seen;
  beforeEach(async () => {
    agent = await testAgent();
    seen = await Seen.from(agent.engine);
  });
  afterEach(async () => {
    seen.close();
    await agent.dispose();
  });

  const kill = async (): Promise<void> => {
    const { pid } = agent.agent;
    process.kill(pid, "SIGKILL");
    await until("the agent's end", () => (readStat(pid)?.state ?? "X") === "X" || readStat(pid)?.state === "Z");
    await expect(agent.engine.snapshot()).rejects.toBeInstanceOf(Unreachable);
  };

  test("has its workers adopted, with output and exit code, in the same epoch", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("echo before; while [ ! -e go ]; do sleep 0.05; done; echo after; exit 7"))]);
    const { pid } = await seen.wait("started", key);
    await until("the first line", async () => (await outputOf(agent.engine, key)).includes("before"));
    const { last } = seen;
    await kill();
    expect(readStat(pid as number)?.state).not.toBe("Z");
    await agent.restart();
    expect((await agent.engine.snapshot()).workers).toMatchObject([{ job: key.job, state: "running" }]);
    const again = await Seen.from(agent.engine, last);
    spawnSync("touch", [`${workFolder(pid as number)}/go`]);
    expect(await again.wait("exited", key)).toMatchObject({ exitCode: 7, signal: null });
    expect(await outputOf(agent.engine, key)).toBe("before\nafter\n");
    expect(again.of("started", key.job)).toHaveLength(0);
    again.close();
  });

  test("loses neither exits nor output of the time when there was none", async () => {
    const ends = [
      { key: someWorker(), text: "sleep 0.3; echo said meanwhile; exit 5", exitCode: 5, signal: null },
      { key: someWorker(), text: "sleep 0.3; kill -KILL $$", exitCode: null, signal: "SIGKILL" },
      { key: someWorker(), text: "sleep 0.3; exit 137", exitCode: 137, signal: null },
    ];
    await agent.engine.start(ends.map(({ key, text }) => startOf(key, script(text))));
    for (const { key } of ends) await seen.wait("started", key);
    const { last } = seen;
    await kill();
    await until("their ends", () => ends.every(({ key }) => !findByMark().has(workerMark(key))));
    await agent.restart();
    const again = await Seen.from(agent.engine, last);
    for (const { key, exitCode, signal } of ends) expect(await again.wait("exited", key)).toMatchObject({ exitCode, signal });
    expect(await outputOf(agent.engine, (ends[0] as (typeof ends)[0]).key)).toBe("said meanwhile\n");
    again.close();
  });

  test("reports a worker lost whose processes were all killed with it", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("sleep 600 & echo up; wait"))]);
    await seen.wait("started", key);
    // from now on no process is added
    await until("its output", async () => (await outputOf(agent.engine, key)) === "up\n");
    const { last } = seen;
    await kill();
    for (const pid of findByMark().get(workerMark(key)) ?? []) process.kill(pid, "SIGKILL");
    await agent.restart();
    const again = await Seen.from(agent.engine, last);
    expect((await again.wait("lost", key)).reason).toContain("no exit record");
    again.close();
  });

  test("is followed by one that goes on stopping what was being stopped", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("trap '' TERM; echo ready; while :; do sleep 0.1; done"))]);
    await until("its line", async () => (await outputOf(agent.engine, key)) !== "");
    await agent.engine.stop([{ ...key, mode: "graceful", grace: 2 }]);
    const { last } = seen;
    await kill();
    await agent.restart();
    const again = await Seen.from(agent.engine, last);
    expect(await again.wait("exited", key)).toMatchObject({ exitCode: null, signal: "SIGKILL" });
    again.close();
  });

  test("doesn't let the same start run twice", async () => {
    const key = someWorker();
    const order = startOf(key, script("sleep 600"));
    await agent.engine.start([order]);
    await seen.wait("started", key);
    await kill();
    await agent.restart();
    await agent.engine.start([order]);
    const fence = someWorker();
    const again = await Seen.from(agent.engine, seen.last);
    await agent.engine.start([startOf(fence, script("exit 0"))]);
    await again.wait("exited", fence);
    expect(again.of("started", key.job)).toHaveLength(0);
    again.close();
  });

  test("is not joined by a second one over the same state", async () => {
    const main = new URL("main.ts", import.meta.url).pathname;
    const second = spawnSync(process.execPath, [main, `${agent.stateDir}/config.json`], { encoding: "utf8" });
    expect(second.status).toBe(75);
    expect(second.stdout).toContain("another agent keeps this state");
    expect(await startAgent(agent.config)).toMatchObject({ pid: agent.agent.pid, started: false });
  });

  test("can be told not to come back", async () => {
    await kill();
    spawnSync("sh", ["-c", `echo '*' > ${agent.stateDir}/refuse`]);
    await expect(agent.restart()).rejects.toThrow("did not come up");
    spawnSync("rm", [`${agent.stateDir}/refuse`]);
    await agent.restart();
  });

  test("keeps workers whose forker died, and learns their ends", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("sleep 0.5; exit 6"))]);
    const { pid } = await seen.wait("started", key);
    const forker = readStat(pid as number)?.ppid as number;
    expect(readFileSync(`/proc/${forker}/cmdline`, "utf8")).toContain(program);
    process.kill(forker, "SIGKILL");
    expect(await seen.wait("exited", key)).toMatchObject({ exitCode: 6, signal: null });
    const next = someWorker();
    await agent.engine.start([startOf(next, script("exit 4"))]);
    expect(await seen.wait("exited", next)).toMatchObject({ exitCode: 4 });
  });

  test("leaves no process, pipe or group behind when it is told to end", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("(setsid sleep 600 &) ; exec sleep 600"))]);
    const { pid } = await seen.wait("started", key);
    await until("both", () => (findByMark().get(workerMark(key)) ?? []).length >= 3);
    const group = readFileSync(`/proc/${pid}/cgroup`, "utf8")
      .split("\n")
      .find((line) => line.includes("muster-"));
    await stopAgent(agent.stateDir, true);
    expect(findByMark().has(workerMark(key))).toBe(false);
    expect(readdirSync(`${agent.stateDir}/slots`)).toEqual([]);
    const base = group?.split("/").at(-2) ?? "no-groups-here";
    expect(spawnSync("find", ["/sys/fs/cgroup", "-maxdepth", "6", "-name", base], { encoding: "utf8" }).stdout).toBe("");
  });
});

test("an agent that is only coming up when it is told to end is ended, too", async () => {
  const dir = await mkdtemp("/tmp/muster-agent-");
  const starting = startAgent({ shard: "test", state_dir: dir, nodes: [{ name: "node-a" }] }).catch((error: unknown) => error);
  // it has its lock before it answers
  await until("the agent", () => commandsNaming(dir).length > 0 && existsSync(`${dir}/lock`));
  await until("its end", async () => {
    await stopAgent(dir, true);
    return commandsNaming(dir).length === 0;
  });
  await starting;
  expect(commandsNaming(dir)).toEqual([]);
  await rm(dir, { recursive: true });
});

function commandsNaming(dir: string): string[] {
  return readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && readStat(Number(pid))?.state !== "Z" && commandOf(pid).includes(dir));
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

function workFolder(pid: number): string {
  return spawnSync("readlink", [`/proc/${pid}/cwd`], { encoding: "utf8" }).stdout.trim();
}
