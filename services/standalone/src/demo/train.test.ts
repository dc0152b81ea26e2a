import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "@muster/store";
import { afterAll, describe, expect, it } from "vitest";

const PYTHON = "/usr/bin/python3";
const here = spawnSync(PYTHON, ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"]).status === 0;
if (!here) process.stderr.write("skipped: PyTorch is not installed here (apt-get install python3-torch)\n");

/** Four ranks started by hand; resolves to their exit codes and what rank 0 wrote. */
async function train(
  args: string[],
  env: Record<string, string>,
  watch?: (output: string, pids: number[]) => void,
): Promise<{ codes: (number | null)[]; output: string }> {
  const port = await freePort();
  let output = "";
  const ranks = [0, 1, 2, 3].map((rank) =>
    spawn(PYTHON, [join(import.meta.dirname, "train.py"), ...args], {
      env: { ...env, RANK: String(rank), WORLD_SIZE: "4", MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port), GLOO_SOCKET_IFNAME: "lo", OMP_NUM_THREADS: "1" },
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );
  for (const rank of ranks.slice(1)) rank.stdout.resume();
  ranks[0]?.stdout.on("data", (data: Buffer) => {
    output += data.toString();
    watch?.(
      output,
      ranks.map((rank) => rank.pid as number),
    );
  });
  const codes = await Promise.all(ranks.map((rank) => new Promise<number | null>((resolve) => rank.on("close", resolve))));
  return { codes, output };
}

describe.skipIf(!here)("the training run", () => {
  const root = mkdtempSync(join(tmpdir(), "muster-train-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const finalLoss = (output: string): string | undefined => /finished step=24\/24 loss=(\S+)/.exec(output)?.[1];
  const steps = ["--steps", "24", "--checkpoint-every", "10"];

  it("broken and resumed ends with the loss of an unbroken one, to the last digit", async () => {
    const whole = await train(steps, { MUSTER_CHECKPOINT_DIR: join(root, "whole") });
    expect(whole.codes).toEqual([0, 0, 0, 0]);

    let killed = false;
    const broken = await train([...steps, "--step-time-floor", "0.1"], { MUSTER_CHECKPOINT_DIR: join(root, "broken") }, (output, pids) => {
      if (killed || !output.includes("step=12/")) return;
      killed = true;
      process.kill(pids[2] as number, "SIGKILL");
    });
    expect(broken.codes).not.toContain(0);
    expect(readdirSync(join(root, "broken"))).toEqual(["step-10"]);
    expect(broken.output).toContain(`checkpoint step=10 path=${join(root, "broken", "step-10")}\n`);

    symlinkSync(join(root, "broken", "step-10"), join(root, "resume"));
    const resumed = await train(steps, { MUSTER_CHECKPOINT_DIR: join(root, "resumed"), MUSTER_RESUME_FROM: join(root, "resume") });
    expect(resumed.codes).toEqual([0, 0, 0, 0]);
    expect(resumed.output).toContain("resumed at step=10 ");
    expect(finalLoss(resumed.output)).toMatch(/^\d\.\d{6}$/);
    expect(finalLoss(resumed.output)).toBe(finalLoss(whole.output));
  });

  it("told to stop checkpoints first, and does not end as if it had finished", async () => {
    let told = false;
    const dir = join(root, "stopped");
    const { codes, output } = await train(["--steps", "100000"], { MUSTER_CHECKPOINT_DIR: dir }, (sofar, pids) => {
      if (told || !sofar.includes("step=3/")) return;
      told = true;
      process.kill(pids[1] as number, "SIGTERM");
    });
    const step = /stopped at step=(\d+)/.exec(output)?.[1];
    expect(codes).toEqual([143, 143, 143, 143]);
    expect(readdirSync(dir)).toContain(`step-${step}`);
  });
});
