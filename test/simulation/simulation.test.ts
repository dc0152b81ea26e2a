import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { shrink } from "./shrink.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
/** A small cluster, short jobs, and something that goes wrong every few minutes. */
const SMALL = ["--nodes", "24", "--hours", "0.5", "--faults", "20", "--jobs", "3", "--longest", "0.2", "--no-shrink"];

function simulate(...words: string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...SMALL, ...words], { maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, out: `${stdout}${error ? stderr : ""}` });
    });
  });
}

describe("the simulation", () => {
  it("breaks no invariant from seeds that are always the same, and lives each the same way twice", async () => {
    const { code, out } = await simulate("--seed", "1", "--again");
    expect(out).toContain("seed 1: ok");
    expect(out).toContain("the same again");
    expect(code).toBe(0);
  }, 600_000);

  it("breaks no invariant from a seed that nobody has lived yet", async () => {
    const seed = process.env["MUSTER_SIMULATION_SEED"] ?? String(Date.now() % 1_000_000_000);
    process.stderr.write(`simulation: fresh seed ${seed}\n`);
    const { code, out } = await simulate("--seed", seed);
    expect(out).toContain(`seed ${seed}: ok`);
    expect(code).toBe(0);
  }, 600_000);

  it("finds a bug that is planted", async () => {
    const { code, out } = await simulate("--seed", "1", "--mutant", "no_reason");
    expect(out).toContain("waits without a reason");
    expect(code).toBe(1);
  }, 600_000);
});

describe("shrinking", () => {
  const faults = Array.from({ length: 40 }, (_, id) => ({ id, at: id, kind: "crash" as const, draws: [] }));

  it("finds the few that are needed together", async () => {
    const fewest = await shrink(faults, async (only) => [3, 17, 31].every((id) => only.some((fault) => fault.id === id)), 1000);
    expect(fewest.map(({ id }) => id)).toEqual([3, 17, 31]);
  });

  it("leaves nothing where nothing is needed, and stops after so many tries", async () => {
    expect(await shrink(faults, async () => true, 1000)).toEqual([]);
    let tried = 0;
    await shrink(faults, async () => (tried++, false), 5);
    expect(tried).toBe(5);
  });
});
