import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findByMark, readStat, workerMark } from "./procs.ts";
import { parseExitRecord } from "./slots.ts";
import { encodeRemoval, encodeStart } from "./spawner-perl.ts";
import { script, testAgent, withoutPerl, type TestAgent } from "./test-agent.ts";
import { outputOf, Seen, someWorker, startOf, until } from "./test-watch.ts";

const ROOT = process.getuid?.() === 0;

describe.each(["perl", "node"])("workers forked by %s", (by) => {
  let restore = (): void => {};
  let agent: TestAgent;
  let seen: Seen;
  beforeAll(async () => {
    if (by === "node") restore = withoutPerl();
    agent = await testAgent();
    seen = await Seen.from(agent.engine);
  });
  afterAll(async () => {
    seen.close();
    await agent.dispose();
    restore();
  });

  const run = async (
    what: Parameters<typeof startOf>[1],
    more: Parameters<typeof startOf>[2] = {},
  ): Promise<{ output: string; exitCode: number | null; signal: string | null }> => {
    const key = someWorker();
    await agent.engine.start([startOf(key, what, more)]);
    const { exitCode, signal } = await seen.wait("exited", key);
    return { output: await outputOf(agent.engine, key), exitCode, signal };
  };

  test("get words and variables as they are given, and no others", async () => {
    const words = ["", " ", "\n", "ü€\u{1f600}", "a=b", "-e", "--", "$(id)", "\\0", "x".repeat(100_000)];
    const { output } = await run({
      argv: [
        "python3",
        "-c",
        "import os, sys; print(sys.argv[1:], sorted(k + '=' + v for k, v in os.environ.items() if k.startswith('T_')))",
        ...words.map((word) => word.replaceAll("$", "$$$$")),
      ],
      env: { T_A: "", T_B: "=\n", T_C: "ü" },
      files: [],
    });
    const listed = (list: string[]): string => `[${list.map((one) => `'${one.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}'`).join(", ")}]`;
    expect(output).toBe(`${listed(words)} ${listed(["T_A=", "T_B==\n", "T_C=ü"])}\n`);
  });

  test("begin with every signal at its default, none blocked, and no descriptor but the standard three", async () => {
    const { output } = await run({ argv: ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"], env: {}, files: [] });
    expect(output.replaceAll(/\s+/g, " ")).toBe("SigBlk: 0000000000000000 SigIgn: 0000000000000000 ");
    // the listing's own descriptor is the fourth; Node hands on what it was started with
    expect((await run({ argv: ["ls", "/proc/self/fd"], env: {}, files: [] })).output).toMatch(by === "perl" ? /^0\n1\n2\n3\n$/ : /^0\n1\n2\n/);
    expect((await run(script("readlink /proc/self/fd/0"))).output).toBe("/dev/null\n");
  });

  test("end with their code or signal, told apart", async () => {
    for (const code of [0, 1, 126, 130, 137, 141, 255])
      expect(await run(script(`exit ${code}`))).toMatchObject({ exitCode: code > 129 && by === "node" && [130, 141].includes(code) ? null : code });
    for (const signal of ["KILL", "TERM", "SEGV", "PIPE"])
      expect(await run(script(`kill -${signal} $$`))).toMatchObject({ exitCode: null, signal: `SIG${signal}` });
  });

  test("that can't begin say why", async () => {
    const missing = await run({ argv: ["no-such-program"], env: {}, files: [] });
    expect(missing).toMatchObject({ exitCode: 127 });
    expect(missing.output).toContain("no-such-program");
    expect(await run({ argv: ["/etc/passwd"], env: {}, files: [] })).toMatchObject({ exitCode: 126 });
    const key = someWorker();
    await agent.engine.start([startOf(key, { argv: ["echo", "a\0b"], env: {}, files: [] })]);
    await until("a refusal", () => seen.of("refused", key.job)[0]);
  });

  test("keep their end through a signal to the whole session", async () => {
    expect(await run(script("trap 'exit 9' TERM; kill -TERM 0; sleep 5"))).toMatchObject({ exitCode: 9 });
  });

  test("are found by their mark, and so is the shim", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("exec sleep 600"))]);
    const { pid } = await seen.wait("started", key);
    await until("both", () => (findByMark().get(workerMark(key)) ?? []).length === 2);
    expect(findByMark().get(workerMark(key))).toContain(pid);
    expect(readStat(pid as number)?.session).toBe(pid);
    await agent.engine.stop([{ ...key, mode: "kill", grace: 0 }]);
    expect(await seen.wait("exited", key)).toMatchObject({ signal: "SIGKILL", reason: "stopped (kill)" });
  });

  test.runIf(ROOT && by === "perl")("can't end the shim, nor write its record", async () => {
    const { output, exitCode } = await run(
      script("kill -KILL $PPID && echo KILLED; for f in /proc/$PPID/fd/*; do echo x > $f && echo WRITTEN; done 2>/dev/null; exit 3"),
    );
    expect(output).not.toMatch(/KILLED|WRITTEN/);
    expect(exitCode).toBe(3);
  });

  test("of one attempt share its checkpoint folder, however many begin at once", async () => {
    const { job } = someWorker();
    const keys = Array.from({ length: 24 }, (_, i) => ({ job, incarnation: "1", attempt: 1, worker: `worker/${i}` }));
    await agent.engine.start(keys.map((key) => startOf(key, script('echo x > "$MUSTER_CHECKPOINT_DIR/$MUSTER_NODE_RANK"'))));
    await until("all ends", () => seen.of("exited", job).length + seen.of("refused", job).length === keys.length);
    expect(seen.of("exited", job).map(({ exitCode }) => exitCode)).toEqual(keys.map(() => 0));
  });

  test("whose shim is killed end with it", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("echo up; exec sleep 600"))]);
    const { pid } = await seen.wait("started", key);
    await until("its output", async () => (await outputOf(agent.engine, key)) === "up\n");
    process.kill(pid as number, "SIGKILL");
    expect(await seen.wait("exited", key)).toMatchObject({ exitCode: null, signal: "SIGKILL" });
  });
});

describe("an order to perl", () => {
  const owner = { uid: 5, gid: 6 };
  const order = {
    id: 7,
    mark: "m",
    slot: "s1",
    files: ["/o", "/r", "/g"],
    prepare: [{ make: "file" as const, path: "/f", mode: 0o400, owner, content: "ü\0" }],
    argv: ["a", "b"],
    env: { A: "1" },
    cwd: "/",
    user: owner,
  };
  const fields = (data: Buffer): string[] => {
    expect(data.readUInt32BE()).toBe(data.length - 4);
    return data.toString("utf8", 8, 8 + data.readUInt32BE(4)).split("\0");
  };
  test("is lengths, fields that end with NUL, and the content of files", () => {
    const data = encodeStart(order);
    expect(fields(data).join("|")).toBe("start|7|m|5|6|/|/o|/r|1|/g|1|file|/f|256|5|6|3|1|A=1|0|a|b|");
    expect(data.toString("utf8", 8 + data.readUInt32BE(4))).toBe("ü\0");
    const removal = encodeRemoval(3, [{ folders: ["/a", "/b"] }, { folders: ["/c"], checkpoint: { folder: "/k", link: "/l" } }]);
    expect(fields(removal).join("|")).toBe("remove|3|||2|/a|/b|/k|/l|1|/c|");
  });
  test("leaves becoming the user to what stands before the program", () => {
    const wrapped = fields(encodeStart({ ...order, wrap: ["w"] }));
    expect(wrapped.slice(3, 5)).toEqual(["", ""]);
    expect(wrapped.slice(-5)).toEqual(["1", "w", "a", "b", ""]);
  });
  test("can't be stretched by what it holds", () => {
    for (const wrong of [{ argv: ["a\0b"] }, { env: { A: "1\0B=2" } }, { env: { "A\0": "1" } }, { mark: "m\0" }, { cwd: "/\0" }])
      expect(() => encodeStart({ ...order, ...wrong })).toThrow("NUL");
    for (const name of ["", "A=B"]) expect(() => encodeStart({ ...order, env: { [name]: "x" } })).toThrow("named");
  });
});

test("exit records tell codes from signals, and one start from another", () => {
  expect(parseExitRecord("3 =137\n", 3)).toEqual({ code: 137, signal: null });
  expect(parseExitRecord("2 =0\n3 !9\n", 3)).toEqual({ code: null, signal: "SIGKILL" });
  expect(parseExitRecord("3 =0\n4 =1\n", 3)).toBeUndefined();
  expect(parseExitRecord("3 =1", 3)).toBeUndefined();
});
