import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { workerMark } from "./procs.ts";
import { script, testAgent, type TestAgent } from "./test-agent.ts";
import { outputOf, Seen, someWorker, startOf, until } from "./test-watch.ts";

const ROOT = process.getuid?.() === 0;
const MIB = 1 << 20;

describe("what workers can reach", () => {
  let agent: TestAgent;
  let seen: Seen;
  let outside: string;
  beforeAll(async () => {
    outside = await mkdtemp("/tmp/muster-outside-");
    mkdirSync(join(outside, "secrets/default/hub"), { recursive: true });
    writeFileSync(join(outside, "secrets/default/hub/token"), "s3cret\n", { mode: 0o600 });
    mkdirSync(join(outside, "volume/below"), { recursive: true, mode: 0o755 });
    writeFileSync(join(outside, "volume/below/data"), "volume data\n", { mode: 0o644 });
    mkdirSync(join(outside, "sources/app"), { recursive: true });
    writeFileSync(join(outside, "sources/app/main.sh"), "echo from the source; pwd\n", { mode: 0o600 });
    symlinkSync("/etc/shadow", join(outside, "sources/app/link"));
    agent = await testAgent({
      secrets_dir: join(outside, "secrets"),
      volumes: { data: join(outside, "volume") },
      source_roots: [join(outside, "sources")],
      checkpoint_roots: [join(outside, "ckpt")],
    });
    seen = await Seen.from(agent.engine);
  });
  afterAll(async () => {
    seen.close();
    await agent.dispose();
    await rm(outside, { recursive: true, force: true });
  });

  const run = async (
    text: string,
    more: Parameters<typeof startOf>[2] = {},
  ): Promise<{ output: string; exitCode: number | null; key: ReturnType<typeof someWorker> }> => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script(text), more)]);
    const end = await until(`the end of ${key.job}`, () => seen.of("exited", key.job)[0] ?? seen.of("refused", key.job)[0]);
    if (end.kind === "refused") throw new Error(end.reason);
    const { exitCode } = end;
    return { output: await outputOf(agent.engine, key), exitCode, key };
  };

  test("nothing of the agent's environment, all of the documented one", async () => {
    const { output, key } = await run("env | sort", {
      env: { A: "x$$y", B: "${MUSTER_DIR}/b" },
      devices: { vendor: "ascend", indices: [2, 5], share: 1000 },
      secrets: [{ env: "HF_TOKEN", from: "hub/token" }],
    });
    const env = Object.fromEntries(
      output
        .trim()
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
    expect(env).toMatchObject({
      MUSTER_JOB_ID: key.job,
      MUSTER_ATTEMPT: "1",
      MUSTER_ROLE: "worker",
      MUSTER_NODE_RANK: "0",
      HF_TOKEN: "s3cret",
      ASCEND_RT_VISIBLE_DEVICES: "2,5",
      CUDA_VISIBLE_DEVICES: "",
    });
    for (const name of ["MUSTER_CHECKPOINT_DIR", "MUSTER_RESUME_FROM", "MUSTER_PROGRESS_FILE", "MUSTER_CONTROL_FILE", "MUSTER_TOKEN_FILE"])
      expect(env[name]).toMatch(/^\//);
    expect(Object.keys(env).filter((name) => name.startsWith("npm_") || name.startsWith("VITEST") || name === "NODE_OPTIONS")).toEqual([]);
  });

  test("words are arguments: nothing in them is run by a shell", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, { argv: ["printf", "%s\n", "$(id)", "`id`", "; id", "$$HOME", "*", "a b"], env: {}, files: [] })]);
    await seen.wait("exited", key);
    expect(await outputOf(agent.engine, key)).toBe("$(id)\n`id`\n; id\n$HOME\n*\na b\n");
  });

  test("the token is in a file of the worker alone, and nowhere else", async () => {
    const { output } = await run('stat -c "%a %u" "$MUSTER_TOKEN_FILE"; cat "$MUSTER_TOKEN_FILE"; echo; id -u', { token: "tok_unmistakable" });
    const [mode, token, uid] = output.trim().split("\n") as [string, string, string];
    expect([mode, token]).toEqual([`400 ${uid}`, "tok_unmistakable"]);
    for (const file of ["journal", "agent.log"]) expect(readFileSync(join(agent.stateDir, file), "utf8")).not.toContain("tok_unmistakable");
    expect(readFileSync(join(agent.stateDir, "journal"), "utf8")).not.toContain("s3cret");
  });

  test.runIf(ROOT)("workers are unprivileged, a user per project, without a way to the agent's state or to others", async () => {
    const victim = someWorker();
    await agent.engine.start([startOf(victim, script("echo mine > mine; exec sleep 600"), { project: "other" })]);
    await seen.wait("started", victim);
    const folder = join(agent.stateDir, "area/run", `${victim.job}.1-1.worker.0`);
    await until("the victim's file", () => existsSync(join(folder, "mine")));
    const { output } = await run(
      `id -u; id -G; for f in journal config.json agent.log slots logs users.json socket/agent.sock; do head -c1 ${agent.stateDir}/$f && echo REACHED $f; ls ${agent.stateDir}/$f/ && echo LISTED $f; done; ls ${agent.stateDir} && echo LISTED; ls ${agent.stateDir}/area/run && echo LISTED; cat ${folder}/mine && echo REACHED; cat ${folder}/token && echo REACHED; echo x > /proc/self/cgroup && echo REACHED; cat ${outside}/secrets/default/hub/token && echo REACHED; true`,
    );
    const [uid, groups] = output.split("\n");
    expect(Number(uid)).toBeGreaterThan(0);
    expect(groups).not.toMatch(/\b0\b/);
    expect(output).not.toMatch(/REACHED|LISTED/);
    expect(statSync(folder).uid).not.toBe(Number(uid));
  });

  test("a folder below a source root is copied for the user alone, links as links", async () => {
    const { output, exitCode } = await run("sh main.sh; cat link; stat -c %a .", { source: { dir: join(outside, "sources/app") } });
    expect(output).toContain("from the source");
    expect(output).not.toContain("root:");
    expect(output.trim().split("\n").at(-1)).toBe("700");
    expect(output).not.toContain(join(outside, "sources"));
    expect(exitCode).toBe(0);
  });

  test.runIf(ROOT)("a folder that the project's user can't read is no source", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("true"), { source: { dir: join(outside, "secrets") } })]);
    expect(await seen.wait("refused", key)).toMatchObject({ code: "source_failed" });
  });

  test("a repository is checked out at the commit, and hooks in it don't run", async () => {
    const repo = join(outside, "repo");
    const git = (...words: string[]): string =>
      spawnSync("git", ["-C", repo, "-c", "user.name=t", "-c", "user.email=t@t", ...words], { encoding: "utf8" }).stdout.trim();
    mkdirSync(repo, { mode: 0o755 });
    git("init", "-q");
    writeFileSync(join(repo, "file"), "one\n");
    git("add", ".");
    git("commit", "-qm", "one");
    const commit = git("rev-parse", "HEAD");
    writeFileSync(join(repo, "file"), "two\n");
    git("commit", "-qam", "two");
    spawnSync("chmod", ["-R", "a+rX", repo, outside]);
    spawnSync("chmod", ["600", join(outside, "secrets/default/hub/token")]);
    const { output } = await run("cat file", { source: { git: `file://${repo}`, commit } });
    expect(output).toBe("one\n");
    const later = await run("cat file", { source: { git: `file://${repo}`, commit: git("rev-parse", "HEAD") } });
    expect(later.output).toBe("two\n");
    const key = someWorker();
    await agent.engine.start([startOf(key, script("true"), { source: { git: `file://${repo}`, commit: "0".repeat(40) } })]);
    expect(await seen.wait("refused", key)).toMatchObject({ code: "source_failed" });
  });

  test("workdir stays in the source", async () => {
    symlinkSync("/", join(outside, "sources/app/out"));
    const key = someWorker();
    await agent.engine.start([startOf(key, script("true"), { source: { dir: join(outside, "sources/app") }, workdir: "out" })]);
    expect((await seen.wait("refused", key)).reason).toContain("leads out of the source");
  });

  test.runIf(ROOT)("volumes are mounted for the worker alone, read-only where asked", async () => {
    const at = join(outside, "seen-by-worker");
    const { output } = await run(`cat ${at}/data; touch ${at}/new || echo read-only; id -u`, { mounts: [{ at, from: "data/below", readOnly: true }] });
    expect(output).toContain("volume data\n");
    expect(output).toContain("read-only");
    expect(output.trim().split("\n").at(-1)).not.toBe("0");
    expect(readdirSync(at)).toEqual([]);
  });

  test.runIf(ROOT)("what makes the mounts heeds none of the worker's variables; the worker gets them", async () => {
    const evil = join(outside, "evil");
    mkdirSync(evil, { mode: 0o777 });
    for (const name of ["unshare", "sh", "mount", "mkdir", "setpriv", "env"])
      writeFileSync(join(evil, name), `#!/bin/sh\n/usr/bin/id -u >> ${evil}/ran\n/usr/bin/chmod a+r ${evil}/ran\n/usr/bin/${name} "$@"\n`, { mode: 0o755 });
    const large = "y".repeat(100_000);
    const env = { PATH: `${evil}:/usr/bin:/bin`, LD_PRELOAD: "/no/such/library.so", BASH_ENV: `${evil}/sh`, LARGE: large };
    const key = someWorker();
    const words = [
      "/usr/bin/python3",
      "-c",
      "import os; print(os.environ['PATH'], os.environ['LD_PRELOAD'], len(os.environ['LARGE']), os.getuid() > 0, os.environ['MUSTER_WORKER'])",
    ];
    await agent.engine.start([startOf(key, { argv: words, env, files: [] }, { mounts: [{ at: join(outside, "seen-too"), from: "data", readOnly: true }] })]);
    expect(await seen.wait("exited", key)).toMatchObject({ exitCode: 0 });
    const lines = (await outputOf(agent.engine, key)).trim().split("\n");
    expect(lines.at(-1)).toBe(`${env.PATH} ${env.LD_PRELOAD} 100000 True ${workerMark(key)}`);
    // one complaint of the loader, about the worker's own program
    expect(lines.filter((line) => line.includes("library.so")).length).toBe(2);
    expect(existsSync(join(evil, "ran"))).toBe(false);
  });

  test("an unknown volume and a missing secret are refused by name", async () => {
    const [one, two] = [someWorker(), someWorker()];
    await agent.engine.start([
      startOf(one, script("true"), { mounts: [{ at: "/mnt/x", from: "nope", readOnly: true }] }),
      startOf(two, script("true"), { secrets: [{ env: "X", from: "hub/absent" }] }),
    ]);
    expect(await seen.wait("refused", one)).toMatchObject({ code: "invalid" });
    expect((await seen.wait("refused", two)).reason).toContain("hub/absent");
  });

  test("files that a worker plants lead the agent nowhere", async () => {
    const bait = join(outside, "bait");
    writeFileSync(bait, '{"step": 666}\n', { mode: 0o644 });
    const { key } = await run(
      `ln -s ${bait} "$MUSTER_PROGRESS_FILE"; echo 667 > ${outside}/marker 2>/dev/null; ln -s ${bait} "$MUSTER_CHECKPOINT_DIR/latest"; ln -s /etc "$MUSTER_CHECKPOINT_DIR/step-5"; echo "saved 5 $MUSTER_CHECKPOINT_DIR/step-5"; mkfifo "$MUSTER_CONTROL_FILE.next"; sleep 0.6`,
      { checkpoint: { reports: true, marker: "latest", committed: "^saved (?<step>\\d+) (?<path>\\S+)$" } },
    );
    expect(seen.of("progress", key.job)).toEqual([]);
    expect(seen.of("checkpoint", key.job)).toEqual([]);
  });

  test.runIf(ROOT)("a checkpoint folder outside the agent's roots is refused", async () => {
    const [key, named, allowed] = [someWorker(), someWorker(), someWorker()];
    await agent.engine.start([
      startOf(key, script("true"), { checkpoint: { reports: true, dir: `/etc/${key.job}` } }),
      startOf(named, script("true"), { checkpoint: { reports: true, dir: join(outside, "ckpt/another-job") } }),
      startOf(allowed, script('touch "$MUSTER_CHECKPOINT_DIR/x"; echo "$MUSTER_CHECKPOINT_DIR"'), {
        checkpoint: { reports: true, dir: join(outside, "ckpt", allowed.job) },
      }),
    ]);
    expect((await seen.wait("refused", key)).reason).toContain("checkpoint root");
    expect((await seen.wait("refused", named)).reason).toContain("named for the job");
    expect(await seen.wait("exited", allowed)).toMatchObject({ exitCode: 0 });
    expect(existsSync(join(outside, "ckpt", allowed.job, "attempt-1-1/x"))).toBe(true);
    expect(existsSync(`/etc/${key.job}`)).toBe(false);
  });

  test("memory is limited, and the kernel's kill is told from others", async ({ skip }) => {
    const groups = readFileSync(join(agent.stateDir, "cgroups.json"), "utf8");
    skip(!groups.includes('"memory"'), "this machine offers no memory controller");
    const key = someWorker();
    await agent.engine.start([
      startOf(
        key,
        { argv: ["python3", "-c", "x = bytearray(400 << 20); print(len(x))"], env: { PATH: "/usr/bin:/bin" }, files: [] },
        { limits: { cpus: 1, memory: 64 * MIB } },
      ),
    ]);
    expect(await seen.wait("exited", key)).toMatchObject({ oom: true });
    const other = someWorker();
    await agent.engine.start([startOf(other, script("kill -9 $$"), { limits: { cpus: 1, memory: 64 * MIB } })]);
    expect(await seen.wait("exited", other)).toMatchObject({ oom: false, signal: "SIGKILL" });
  });

  test("cpu time is limited", async ({ skip }) => {
    const bases = JSON.parse(readFileSync(join(agent.stateDir, "cgroups.json"), "utf8")) as { cpu?: { version: number } };
    skip(bases.cpu?.version !== 1, "this machine has no cpu controller of version 1 to read the limit from");
    const { output } = await run(`cat "/sys/fs/cgroup/cpu$(grep ':cpu:' /proc/self/cgroup | cut -d: -f3)/cpu.cfs_quota_us"`, {
      limits: { cpus: 0.25, memory: 64 * MIB },
    });
    expect(output).toBe("25000\n");
  });
});
