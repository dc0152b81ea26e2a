import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const VITEST = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const FILES = ["packages/placement", "packages/replay/src/queueing", "packages/lifecycle"];

/** The random cases of the engine's tests with other seeds, each as many as `npm test` draws. Throws an Error that names the seed that fails. */
export async function runProperties(from: number, seeds: number): Promise<{ seeds: number }> {
  for (let seed = from; seed < from + seeds; seed++) {
    const env = { ...process.env, MUSTER_SEED: String(seed) };
    await promisify(execFile)(process.execPath, [VITEST, "run", ...FILES], { cwd: ROOT, env, maxBuffer: 2 ** 26 }).catch(
      (error: Error & { stdout?: string }) => {
        throw new Error(`MUSTER_SEED=${seed} npx vitest run ${FILES.join(" ")}: ${error.stdout?.slice(-4000) ?? error.message}`);
      },
    );
  }
  return { seeds };
}
