import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
/** A million node-hours: six weeks of a thousand nodes, a week a seed. */
const WEEKS = ["--seeds", "6", "--hours", "168", "--faults", "1", "--jobs", "2", "--json"];

/** Lets clusters live in a process of their own, as its clock and randomness are replaced. @throws Error with what was broken, and how to see it again */
export function simulate(seed: number): Promise<object> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, "--seed", String(seed), ...WEEKS], { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${stdout}${stderr.slice(-2000)}`));
      else resolve(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "{}") as object);
    });
  });
}
