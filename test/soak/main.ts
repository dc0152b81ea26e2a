import { parseArgs } from "node:util";
import { runChurn } from "../crash/scenarios/churn.ts";
import { allCrashPoints, runCrashPoints } from "../crash/scenarios/crash-points.ts";
import { random } from "../crash/scenarios/random.ts";
import { runSubmissions } from "../crash/scenarios/submissions.ts";
import { runUpgrade } from "../crash/scenarios/upgrade.ts";
import { buildContainer } from "../deploy/build-container.ts";
import { buildImage } from "../deploy/build-image.ts";
import setup from "../global-setup.ts";
import { runPairwise } from "../recovery/pairwise.ts";
import { findMutants, simulate } from "../simulation/simulate.ts";
import { runProperties } from "./properties.ts";

/* `npm run soak [-- NAME...] [--seed N]`: the crash tests at full length, the upgrade under 100 jobs, a node that freezes in the check before a start, a million simulated node-hours, the bugs that the simulation is to find, the engine's random cases with other seeds, the image by its steps and by a container engine. Prints what each found; ends with 1 where one failed. */

const { values, positionals } = parseArgs({ allowPositionals: true, options: { seed: { type: "string", default: String(Date.now() % 1_000_000) } } });
const seed = Number(values.seed);

const SCENARIOS: Record<string, () => Promise<object>> = {
  "crash-points": () => runCrashPoints(allCrashPoints()),
  submissions: async () => {
    const figures = await runSubmissions(1000, 20, random(seed));
    if (figures.lost + figures.doubled > 0 || figures.acknowledged !== 1000) throw new Error(JSON.stringify(figures));
    return figures;
  },
  churn: () => runChurn(500, random(seed)),
  upgrade: () => runUpgrade(100),
  preflight: async () => [await runPairwise(0), await runPairwise(1)],
  simulation: () => simulate(seed),
  mutants: () => findMutants(1),
  properties: () => runProperties(seed, 40),
  image: () => buildImage(),
  container: () => buildContainer(),
};

const names = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
const unknown = names.filter((name) => !SCENARIOS[name]);
if (unknown.length > 0) {
  process.stderr.write(`unknown: ${unknown.join(", ")}; there are ${Object.keys(SCENARIOS).join(", ")}\n`);
  process.exit(2);
}
const end = await setup();
process.stdout.write(`seed ${seed}\n`);
for (const name of names) {
  const began = performance.now();
  try {
    const figures = await (SCENARIOS[name] as () => Promise<object>)();
    process.stdout.write(`${name}: ok in ${Math.round((performance.now() - began) / 1000)} s ${JSON.stringify(figures)}\n`);
  } catch (error) {
    process.exitCode = 1;
    process.stdout.write(
      `${name}: FAILED after ${Math.round((performance.now() - began) / 1000)} s: ${error instanceof Error ? error.message : String(error)}\n`,
    );
  }
}
await end();
