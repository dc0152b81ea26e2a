import { parseArgs } from "node:util";
import { MUTANTS } from "./mutants.ts";
import { run, type RunFigures, type RunOptions } from "./run.ts";
import { shrink } from "./shrink.ts";

/*
 * `npm run simulate -- --seed N --hours H`: a whole cluster lives in this process, in its own time. Prints a line of figures for each seed; a seed
 * that breaks an invariant is replayed with fewer and fewer faults. Ends with 1 where an invariant broke.
 */

const SHRINKING_RUNS = 60;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    /** So many seeds, from the first on. */
    seeds: { type: "string", default: "1" },
    hours: { type: "string", default: "24" },
    nodes: { type: "string", default: "1000" },
    shards: { type: "string", default: "6" },
    /** Each per simulated hour. */
    faults: { type: "string", default: "1" },
    jobs: { type: "string", default: "3" },
    /** Of the seed's faults only those of these numbers. */
    only: { type: "string" },
    mutant: { type: "string" },
    "no-shrink": { type: "boolean", default: false },
    /** Asks the database everything, also what can't have changed. */
    forgets: { type: "boolean", default: false },
    /** Lives each seed twice, the second time as with `forgets`, and says where the two differ. */
    again: { type: "boolean", default: false },
    /** No job works for longer; hours. */
    longest: { type: "string", default: "12" },
    json: { type: "boolean", default: false },
  },
});
const number = (name: "longest" | "seed" | "seeds" | "hours" | "nodes" | "shards" | "faults" | "jobs"): number => {
  const value = Number(values[name]);
  if (!(value >= 0)) throw fail(`--${name}: expected a number, not ${values[name]}`);
  return value;
};
const mutant = values.mutant === undefined ? undefined : MUTANTS[values.mutant];
if (values.mutant !== undefined && !mutant) throw fail(`--mutant: expected one of ${Object.keys(MUTANTS).join(", ")}`);

const base: Omit<RunOptions, "seed"> = {
  hours: number("hours"),
  nodes: number("nodes"),
  shards: number("shards"),
  faultsPerHour: number("faults"),
  jobsPerHour: number("jobs"),
  longestHours: number("longest"),
  forgets: values.forgets,
  ...(mutant && { mutant: mutant.edits }),
};
const total = { seeds: 0, node_hours: 0, faults: 0, jobs: 0, attempts: 0, hangs: 0, hangs_by_pace: 0, invariants_broken: 0, wall_s: 0 };
const first = number("seed");
for (let seed = first; seed < first + number("seeds"); seed++) {
  const only = values.only === undefined ? undefined : new Set(values.only.split(",").filter(Boolean).map(Number));
  const figures = await run({ ...base, seed, ...(only && { only }), onDay: (day) => process.stderr.write(`seed ${seed}: day ${day}\n`) });
  print(figures);
  if (values.again) {
    const { hash } = await run({ ...base, seed, ...(only && { only }), forgets: true });
    if (hash !== figures.hash) {
      process.stdout.write(`seed ${seed}: lived twice, and not the same way: ${figures.hash} and ${hash}\n`);
      process.exitCode = 1;
    } else process.stdout.write(`seed ${seed}: the same again\n`);
  }
  total.seeds++;
  for (const key of ["node_hours", "faults", "jobs", "attempts", "hangs", "hangs_by_pace", "wall_s"] as const)
    total[key] = Math.round((total[key] + figures[key]) * 10) / 10;
  total.invariants_broken += figures.broken.length > 0 ? 1 : 0;
  if (figures.broken.length === 0) continue;
  process.exitCode = 1;
  if (!values["no-shrink"]) await explain(figures);
}
process.stdout.write(values.json ? `${JSON.stringify(total)}\n` : `in all: ${JSON.stringify(total)}\n`);

function print({ happened, broken, ...figures }: RunFigures): void {
  const outcome = broken.length === 0 ? "ok" : "BROKEN";
  if (values.json) process.stdout.write(`${JSON.stringify({ ...figures, broken, happened: happened.map(({ id }) => id) })}\n`);
  else process.stdout.write(`seed ${figures.seed}: ${outcome} ${JSON.stringify(figures)}\n${broken.map((what) => `  ${what}\n`).join("")}`);
}

/** Finds the fewest faults that do it, and says how to see them again. */
async function explain({ seed, happened, broken }: RunFigures): Promise<void> {
  process.stdout.write(`seed ${seed}: ${happened.length} faults had happened; looking for the fewest that do it\n`);
  // what comes after the break has no part in it
  const hours = Math.min(base.hours, Math.ceil((happened.at(-1)?.at ?? 0) / 3_600_000) + 1);
  const replay = async (faults: readonly { id: number }[], over: number): Promise<string | undefined> =>
    (await run({ ...base, seed, hours: over, only: new Set(faults.map(({ id }) => id)) })).broken[0];
  const over = (await replay(happened, hours)) === undefined ? base.hours : hours;
  const fewest = await shrink(happened, async (faults) => (await replay(faults, over)) !== undefined, SHRINKING_RUNS);
  const same = [
    `--seed ${seed} --hours ${over}`,
    `--nodes ${base.nodes} --shards ${base.shards} --faults ${base.faultsPerHour} --jobs ${base.jobsPerHour}`,
    `--only ${fewest.map(({ id }) => id).join(",") || "none"}`,
    ...(values.mutant === undefined ? [] : [`--mutant ${values.mutant}`]),
  ].join(" ");
  process.stdout.write(
    [
      `seed ${seed}: ${(await replay(fewest, over)) ?? broken[0] ?? ""}`,
      `  after ${fewest.map(({ id, kind, at }) => `${id} ${kind} at ${(at / 3_600_000).toFixed(2)} h`).join(", ") || "no fault at all"}`,
      `  again: npm run simulate -- ${same}`,
      "",
    ].join("\n"),
  );
}

function fail(what: string): Error {
  process.stderr.write(`${what}\n`);
  process.exit(2);
}
