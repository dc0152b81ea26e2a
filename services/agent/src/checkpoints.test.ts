import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SealCheckpoint, WorkerKey } from "@muster/engine";
import { markerStep } from "@muster/output";
import { commitByStep, commitPath } from "./commits.ts";
import { copyTree } from "./copy-tree.ts";
import { script, testAgent, type TestAgent } from "./test-agent.ts";
import { outputOf, Seen, someWorker, startOf, until } from "./test-watch.ts";

const ROOT = process.getuid?.() === 0;
const LINE = "^saved (?<step>\\d+) (?<path>\\S+)$";

describe("checkpoints", () => {
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

  const sealOf = (key: WorkerKey, path: string, step: number, keep: string[] = []): SealCheckpoint => ({
    job: key.job,
    incarnation: key.incarnation,
    attempt: key.attempt,
    node: "node-a",
    project: "default",
    step,
    path,
    name: `${step}-x`,
    keep,
  });
  const save = (step: number, form = "step-"): string =>
    `mkdir "$MUSTER_CHECKPOINT_DIR/${form}${step}"; echo ${step} > "$MUSTER_CHECKPOINT_DIR/${form}${step}/model"; `;

  test("a marker file tells of a commit once; frameworks' names are found", async () => {
    const key = someWorker();
    const text = `${save(20, "iter_00000")}echo 20 > "$MUSTER_CHECKPOINT_DIR/latest"; sleep 1; ${save(40, "global_step")}echo global_step40 > "$MUSTER_CHECKPOINT_DIR/latest"; sleep 1`;
    await agent.engine.start([startOf(key, script(text), { checkpoint: { reports: true, marker: "latest" } })]);
    await seen.wait("exited", key);
    const commits = seen.of("checkpoint", key.job);
    expect(commits.map(({ step, path, via }) => [step, path.split("/").at(-1), via])).toEqual([
      [20, "iter_0000020", "marker"],
      [40, "global_step40", "marker"],
    ]);
  });

  test("a log line counts once, also across the agent's death", async () => {
    const key = someWorker();
    await agent.engine.start([
      startOf(key, script(`${save(1)}echo "saved 1 step-1"; while [ ! -e go ]; do sleep 0.05; done; ${save(2)}echo "saved 2 step-2"`), {
        checkpoint: { reports: true, committed: LINE },
      }),
    ]);
    await seen.wait("checkpoint", key);
    const folder = realpathSync(`/proc/${seen.of("started", key.job)[0]?.pid}/cwd`);
    const { last } = seen;
    const { pid } = agent.agent;
    process.kill(pid, "SIGKILL");
    await until("its end", () => !existsSync(`/proc/${pid}/stat`) || readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "));
    await agent.restart();
    const again = await Seen.from(agent.engine, last);
    writeFileSync(join(folder, "go"), "");
    await again.wait("exited", key);
    expect(again.of("checkpoint", key.job).map(({ step }) => step)).toEqual([2]);
    again.close();
    seen = await Seen.from(agent.engine);
  });

  test("a worker that doesn't report commits has none", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script(`${save(5)}echo "saved 5 step-5"`), { checkpoint: { reports: false, committed: LINE } })]);
    await seen.wait("exited", key);
    expect(seen.of("checkpoint", key.job)).toEqual([]);
  });

  test("what is sealed survives its maker, who can neither change it nor reach beyond its own folder", async () => {
    const key = someWorker();
    const text = `${save(7)}echo "saved 7 step-7"; while ! [ -e "$MUSTER_RESUME_FROM/model" ]; do sleep 0.05; done; echo "resume: $(cat "$MUSTER_RESUME_FROM/model")"; echo broken > "$MUSTER_CHECKPOINT_DIR/step-7/model"; rm -rf "$MUSTER_CHECKPOINT_DIR"/* "$MUSTER_RESUME_FROM"/* ; echo x > "$MUSTER_RESUME_FROM/model"; rm -rf "$(dirname "$MUSTER_CHECKPOINT_DIR")/committed"; exit 0`;
    await agent.engine.start([startOf(key, script(text), { checkpoint: { reports: true, committed: LINE } })]);
    const commit = await seen.wait("checkpoint", key);
    await agent.engine.seal([sealOf(key, commit.path, 7)]);
    const sealed = await seen.wait("sealed", key);
    await seen.wait("exited", key);
    expect(await outputOf(agent.engine, key)).toContain("resume: 7");
    expect(existsSync(commit.path)).toBe(false);
    expect(existsSync(join(sealed.path, "model"))).toBe(ROOT);
    expect(statSync(sealed.path).uid).toBe(process.getuid?.());
  });

  test("the next attempt resumes from it, through a path of its own that follows newer seals", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script(`${save(3)}echo "saved 3 step-3"; exec sleep 600`), { checkpoint: { reports: true, committed: LINE } })]);
    const { path } = await seen.wait("checkpoint", key);
    await agent.engine.seal([sealOf(key, path, 3)]);
    const first = await seen.wait("sealed", key);
    await agent.engine.stop([{ ...key, mode: "kill", grace: 0 }]);
    await seen.wait("exited", key);
    const next = { ...key, attempt: 2 };
    const text = `echo "from $(cat "$MUSTER_RESUME_FROM/model")"; ${save(6)}echo "saved 6 step-6"; while [ "$(cat "$MUSTER_RESUME_FROM/model")" != 6 ]; do sleep 0.05; done; echo "now $(cat "$MUSTER_RESUME_FROM/model")"`;
    await agent.engine.start([startOf(next, script(text), { checkpoint: { reports: true, committed: LINE, resumeFrom: first.path } })]);
    const second = await until("the second commit", () => seen.of("checkpoint", key.job).find(({ step }) => step === 6));
    await agent.engine.seal([sealOf(next, second.path, 6, ["6-x"])]);
    await until("the second end", () => seen.of("exited", key.job).find(({ attempt }) => attempt === 2));
    expect(await outputOf(agent.engine, next)).toBe("from 3\nsaved 6 step-6\nnow 6\n");
    expect(readdirSync(join(first.path, ".."))).toEqual(["6-x"]);
    await agent.engine.seal([sealOf(key, path, 3)]);
    expect((await seen.wait("seal_failed", key)).reason).toContain("older than attempt 2");
  });

  test("a resume place that isn't one of the job's sealed checkpoints is refused", async () => {
    const key = someWorker();
    await agent.engine.start([startOf(key, script("true"), { checkpoint: { reports: true, resumeFrom: "/etc" } })]);
    expect(await seen.wait("refused", key)).toMatchObject({ code: "start_failed" });
  });

  test("links in a checkpoint that lead out of it are not sealed", async () => {
    const key = someWorker();
    await agent.engine.start([
      startOf(key, script(`${save(8)}ln -s /etc/passwd "$MUSTER_CHECKPOINT_DIR/step-8/link"; echo "saved 8 step-8"; exec sleep 600`), {
        checkpoint: { reports: true, committed: LINE },
      }),
    ]);
    const { path } = await seen.wait("checkpoint", key);
    await agent.engine.seal([sealOf(key, path, 8)]);
    expect((await seen.wait("seal_failed", key)).reason).toContain("leads out");
    await agent.engine.stop([{ ...key, mode: "kill", grace: 0 }]);
  });

  test("checkpoint now raises the number and signals ranks, not their launcher nor their helpers", async () => {
    const key = someWorker();
    const rank = `trap 'echo rank $RANK asked' USR1; (trap - USR1; sleep 600) & echo up; while :; do sleep 0.05; done`;
    const text = `trap 'echo launcher asked' USR1; for r in 4 5; do RANK=$r sh -c "$PROGRAM" & done; while :; do sleep 0.05; cat "$MUSTER_CONTROL_FILE" 2>/dev/null; done`;
    await agent.engine.start([
      startOf(key, { ...script(text), env: { PROGRAM: rank.replaceAll("$", "$$$$") } }, { checkpoint: { reports: true, signal: "SIGUSR1" }, ranks: 2 }),
    ]);
    await until("both ranks", async () => ((await outputOf(agent.engine, key)).match(/up/g) ?? []).length === 2);
    const { worker: _, ...attempt } = key;
    await agent.engine.checkpointNow([attempt]);
    const output = await until("both answers", async () => {
      const text = await outputOf(agent.engine, key);
      return text.includes("rank 4 asked") && text.includes("rank 5 asked") && /^1$/m.test(text) && text;
    });
    expect(output).not.toContain("launcher asked");
    await agent.engine.checkpointNow([attempt]);
    await until("the second number", async () => /^2$/m.test(await outputOf(agent.engine, key)));
    await agent.engine.stop([{ ...key, mode: "graceful", grace: 0 }]);
    expect(await seen.wait("exited", key)).toMatchObject({ signal: "SIGKILL" });
  });

  test("a graceful stop waits for the commit, then ends", async () => {
    const key = someWorker();
    const text = `trap '${save(9).replaceAll("'", "")} echo "saved 9 step-9"' USR1; echo up; while :; do sleep 0.05; done`;
    await agent.engine.start([startOf(key, { ...script(text), env: { RANK: "0" } }, { checkpoint: { reports: true, signal: "SIGUSR1", committed: LINE } })]);
    await until("the worker", async () => (await outputOf(agent.engine, key)).includes("up"));
    await agent.engine.stop([{ ...key, mode: "graceful", grace: 3600 }]);
    expect(await seen.wait("exited", key)).toMatchObject({ signal: "SIGTERM" });
    const kinds = seen.all.filter((one) => "job" in one && one.job === key.job).map(({ kind }) => kind);
    expect(kinds.indexOf("checkpoint")).toBeGreaterThan(0);
    expect(kinds.indexOf("checkpoint")).toBeLessThan(kinds.indexOf("exited"));
  });
});

describe("which checkpoint is meant", () => {
  test.each([
    ["1000", 1000],
    ["global_step1000\n", 1000],
    ["iter 7", 7],
    ["release", undefined],
    ["", undefined],
    ["step-12-final", undefined],
  ])("%j", (text, step) => expect(markerStep(text)).toBe(step));

  test("paths are taken only below the folder, links followed", async () => {
    const base = await mkdtemp("/tmp/muster-commits-");
    mkdirSync(join(base, "in/step-10"), { recursive: true });
    mkdirSync(join(base, "out"));
    symlinkSync(join(base, "out"), join(base, "in/step-11"));
    symlinkSync("step-10", join(base, "in/last"));
    const folder = join(base, "in");
    expect(commitPath(folder, "step-10")).toBe(join(folder, "step-10"));
    expect(commitPath(folder, "last")).toBe(join(folder, "step-10"));
    for (const bad of ["step-11", "../out", base, "/", ".", "absent", "a\0b"]) expect(commitPath(folder, bad)).toBeUndefined();
    expect(commitByStep(folder, 10, undefined)).toBe(join(folder, "step-10"));
    expect(commitByStep(folder, 11, undefined)).toBeUndefined();
    expect(commitByStep(folder, 1, undefined)).toBeUndefined();
    await rm(base, { recursive: true });
  });

  test("a copy takes files, folders and links inside, and nothing else", async () => {
    const base = await mkdtemp("/tmp/muster-copy-");
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    mkdirSync(join(base, "from/a/b"), { recursive: true });
    writeFileSync(join(base, "from/a/b/c"), "deep");
    symlinkSync("a/b/c", join(base, "from/link"));
    await copyTree(join(base, "from"), join(base, "to"), owner);
    expect(readFileSync(join(base, "to/a/b/c"), "utf8")).toBe("deep");
    expect(readlinkSync(join(base, "to/link"))).toBe("a/b/c");
    expect(lstatSync(join(base, "to/a/b/c")).mode & 0o777).toBe(0o640);
    symlinkSync("/etc", join(base, "from/evil"));
    await expect(copyTree(join(base, "from"), join(base, "to2"), owner)).rejects.toThrow("leads out");
    await rm(base, { recursive: true });
  });
});
