import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

/* The shim in every shell of this machine that could be an image's /bin/sh. */

const SHIM = fileURLToPath(new URL("shim.sh", import.meta.url));
const SEAL = fileURLToPath(new URL("seal.sh", import.meta.url));
const SHELLS = [["dash"], ["bash"], ["busybox", "sh"], ["mksh"]].filter(([name]) => existsSync(`/usr/bin/${name}`) || existsSync(`/bin/${name}`));
const base = mkdtempSync("/tmp/muster-shim-");
afterAll(() => rmSync(base, { recursive: true, force: true }));
let count = 0;

interface Run {
  dir: string;
  output: () => string;
  end: Promise<string>;
  signal: (name: NodeJS.Signals) => void;
}

function run(shell: readonly string[], script: string, env: Record<string, string> = {}): Run {
  const dir = join(base, String(count++));
  mkdirSync(join(dir, "etc"), { recursive: true });
  mkdirSync(join(dir, "run"));
  writeFileSync(join(dir, "etc/control"), "0");
  const paths = {
    MUSTER_ETC: join(dir, "etc"),
    MUSTER_DIR: join(dir, "run"),
    MUSTER_CONTROL_FILE: join(dir, "run/control"),
    MUSTER_PROGRESS_FILE: join(dir, "run/progress"),
  };
  const child = spawn(shell[0] as string, [...shell.slice(1), SHIM, "/bin/sh", "-c", script], {
    env: {
      PATH: process.env["PATH"],
      MUSTER_CHECKPOINT_DIR: join(dir, "run/checkpoints"),
      MUSTER_TERMINATION_LOG: join(dir, "log"),
      MUSTER_REPORTS: "1",
      MUSTER_GRACE: "4",
      ...paths,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (data: string) => (text += data));
  const end = new Promise<string>((resolve) => child.on("close", () => resolve(readFileSync(join(dir, "log"), "utf8"))));
  return { dir, output: () => text, end, signal: (name) => child.kill(name) };
}

async function until(look: () => boolean): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (look()) return;
    await delay(10);
  }
  throw new Error("it didn't come");
}

describe.each(SHELLS.map((shell) => ({ name: shell.join(" "), shell })))("the shim under $name", ({ shell }) => {
  test.each([
    ["exit 0", '{"code":0}'],
    ["exit 137", '{"code":137}'],
    ["kill -9 $$", '{"signal":9}'],
    ["kill -SEGV $$", '{"signal":11}'],
  ])("%s is told exactly", async (script, report) => {
    expect(await run(shell, script).end).toBe(report);
  });

  test("tells progress and what lies in the checkpoint folder, and passes output on", async () => {
    const one = run(
      shell,
      'echo out; echo err >&2; echo \'{"step":3}\' >>"$MUSTER_PROGRESS_FILE"; mkdir "$MUSTER_CHECKPOINT_DIR/step-3"; echo 3 >"$MUSTER_CHECKPOINT_DIR/latest"',
      {
        MUSTER_MARKER: "latest",
      },
    );
    expect(await one.end).toBe('{"code":0}');
    for (const line of ["out\n", "err\n", '\u001emuster progress {"step":3}\n', "\u001emuster entry step-3/\n", "\u001emuster marker 3\n"])
      expect(one.output()).toContain(line);
  });

  test("is asked for a checkpoint through its control file, and signals only ranks", async () => {
    const rank = "trap 'echo asked >&2' USR1; echo rank up; for i in $(seq 600); do sleep 0.05; [ -e \"$MUSTER_DIR/done\" ] && exit 0; done";
    const one = run(shell, `trap 'echo launcher >&2' USR1; RANK=0 /bin/sh -c '${rank.replaceAll("'", "'\\''")}' & wait $!; wait`, {
      MUSTER_CHECKPOINT_SIGNAL: "SIGUSR1",
    });
    await until(() => one.output().includes("rank up"));
    writeFileSync(join(one.dir, "etc/control"), "1");
    await until(() => one.output().includes("asked"));
    expect(readFileSync(join(one.dir, "run/control"), "utf8")).toBe("1\n");
    expect(one.output()).not.toContain("launcher");
    writeFileSync(join(one.dir, "run/done"), "");
    await one.end;
  });

  test("SIGTERM ends what has no ranks; who makes checkpoints is asked for one first", async () => {
    const plain = run(shell, "echo up; exec sleep 60");
    await until(() => plain.output().includes("up\n"));
    plain.signal("SIGTERM");
    expect(await plain.end).toBe('{"signal":15}');
    const saving = run(
      shell,
      'echo up; for i in $(seq 600); do read n <"$MUSTER_CONTROL_FILE"; [ "$n" = 1 ] && echo saving && exec sleep 60; sleep 0.05; done',
      { MUSTER_CHECKPOINTS: "1" },
    );
    await until(() => saving.output().includes("up\n"));
    saving.signal("SIGTERM");
    await until(() => saving.output().includes("saving"));
    expect(await saving.end).toBe('{"signal":15}');
  });
});

test("a checkpoint is sealed once, by a copy; links that lead out and what is not kept don't stay", async () => {
  const job = join(base, "job");
  mkdirSync(join(job, "attempt-1-1/step-4"), { recursive: true });
  mkdirSync(join(job, "committed/1-old"), { recursive: true });
  writeFileSync(join(job, "attempt-1-1/step-4/model"), "weights");
  const seal = async (below: string, name: string): Promise<string> => {
    const log = join(base, `seal-${name}`);
    const child = spawn("/bin/sh", [SEAL, job, "attempt-1-1", below, name, name], {
      env: { PATH: process.env["PATH"], MUSTER_TERMINATION_LOG: log },
      stdio: "ignore",
    });
    await new Promise((resolve) => child.on("close", resolve));
    return readFileSync(log, "utf8");
  };
  expect(await seal("step-4", "4-a")).toBe("sealed");
  expect(readFileSync(join(job, "committed/4-a/model"), "utf8")).toBe("weights");
  expect(readFileSync(join(job, "committed/.newest"), "utf8")).toBe("4-a\n");
  expect(existsSync(join(job, "committed/1-old"))).toBe(false);
  writeFileSync(join(job, "attempt-1-1/step-4/model"), "changed");
  expect(await seal("step-4", "4-a")).toBe("sealed");
  expect(readFileSync(join(job, "committed/4-a/model"), "utf8")).toBe("weights");
  expect(await seal("../committed", "5-a")).toContain("failed");
  expect(await seal("step-9", "9-a")).toContain("doesn't exist");
});
