import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { MUTANTS } from "./mutants.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
/** A small cluster that fills its time with faults. */
const SMALL = ["--nodes", "24", "--hours", "6", "--faults", "12", "--jobs", "4", "--longest", "1", "--no-shrink"];
const SEEDS_TRIED = 12;
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

/** The seed that finds each planted bug. @throws Error where none of some does, or says something else of it */
export async function findMutants(first: number): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [name, { says }] of Object.entries(MUTANTS)) {
    for (let seed = first; found[name] === undefined; seed++) {
      if (seed === first + SEEDS_TRIED) throw new Error(`${name}: nothing found by the seeds ${first} to ${seed - 1}`);
      const out = await new Promise<string>((resolve) => {
        execFile(process.execPath, [MAIN, "--seed", String(seed), "--mutant", name, ...SMALL], { maxBuffer: 64 << 20 }, (_error, stdout) => resolve(stdout));
      });
      if (!out.includes("BROKEN")) continue;
      if (!says.test(out)) throw new Error(`${name}: seed ${seed} says something else of it: ${out}`);
      found[name] = seed;
    }
  }
  return found;
}
