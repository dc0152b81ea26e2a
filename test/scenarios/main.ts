import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { readCases } from "@muster/placement/scenarios/file/read";
import type { Scenario } from "@muster/placement/scenarios/format";
import { variations } from "@muster/placement/scenarios/metamorphic";
import { playScenario } from "@muster/placement/scenarios/runner";
import { parse } from "yaml";

/*
 * `npm run scenarios -- [--varied] FILE.yaml...`: plays cases of the placement engine from files; with --varied also renamed, permuted, scaled and
 * so on. Prints a line a case: ok, what differs, or what of it cannot be read. Ends with 1 where one differs.
 */

const { values, positionals: files } = parseArgs({ allowPositionals: true, options: { varied: { type: "boolean", default: false } } });
if (files.length === 0) {
  process.stderr.write("name one or more files of cases: npm run scenarios -- [--varied] FILE.yaml... (docs/placement.md says how they are written)\n");
  process.exit(2);
}
const counts = { ok: 0, differ: 0, unread: 0 };
for (const file of files) {
  for (const { id, scenario, unread } of readCases(parse(readFileSync(file, "utf8")))) {
    const outcome = scenario === null ? { unread } : play(scenario);
    if ("unread" in outcome) {
      counts.unread++;
      process.stdout.write(`${id}: not read: ${outcome.unread}\n`);
    } else if (outcome.problems.length > 0) {
      counts.differ++;
      process.stdout.write(`${id}: differs\n${outcome.problems.map((problem) => `  ${problem}\n`).join("")}`);
    } else {
      counts.ok++;
      process.stdout.write(`${id}: ok\n`);
    }
  }
}
process.stdout.write(`${counts.ok} ok, ${counts.differ} differ, ${counts.unread} not read\n`);
process.exitCode = counts.differ > 0 ? 1 : 0;

function play(scenario: Scenario): { problems: string[] } | { unread: string } {
  try {
    const problems = playScenario(scenario);
    if (problems.length > 0 || !values.varied) return { problems };
    return { problems: variations.flatMap(({ name, apply }) => playScenario(apply(scenario)).map((problem) => `${name}: ${problem}`)) };
  } catch (error) {
    // what the engine refuses, as a queue that is not there
    return { unread: error instanceof Error ? error.message : String(error) };
  }
}
