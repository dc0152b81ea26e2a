import { TraceMissing } from "@muster/replay";
import { oneCase } from "./case.ts";
import { fairness } from "./fairness.ts";
import { FURTHER, furtherMix } from "./further.ts";
import { gavel, LOADS } from "./gavel.ts";
import { parity } from "./parity.ts";
import { emptyPart, type Part } from "./part.ts";
import { CASES } from "./schedulers.ts";

/** Everything by name, in the order in which it is printed. */
export const PARTS: ReadonlyMap<string, () => Part> = new Map([
  ["parity", parity],
  ...CASES.flatMap((c): [string, () => Part][] => {
    const whole = (): Part => oneCase(c);
    return c.key.startsWith("philly")
      ? [
          [c.key, whole],
          [`fairness ${c.key}`, () => fairness(c)],
        ]
      : [[c.key, whole]];
  }),
  ...FURTHER.map((mix, i): [string, () => Part] => [`further ${i}`, () => furtherMix(mix)]),
  ...(["single", "multiple"] as const).flatMap((trace) =>
    LOADS[trace].map((load): [string, () => Part] => [`gavel ${trace} ${load}`, () => gavel(trace, load)]),
  ),
]);

/** A missing trace is said in one line; anything else is a fault. */
export function runPart(name: string): Part {
  try {
    return PARTS.get(name)!();
  } catch (error) {
    if (!(error instanceof TraceMissing)) throw error;
    return { ...emptyPart(), lines: [error.message] };
  }
}
