import { readdirSync, realpathSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { inside } from "./area.ts";

/* Which checkpoint a marker or a log line speaks of. */

const MAX_ENTRIES = 10_000;

/** `1000` or `global_step1000` → 1000; undefined where the text doesn't end in a step. */
export function markerStep(text: string): number | undefined {
  const digits = /(?:^|\D)(\d{1,15})\s*$/.exec(text.slice(0, 256))?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The named path, if it exists below the attempt's folder once all links are followed. */
export function commitPath(folder: string, named: string): string | undefined {
  if (named.includes("\0")) return undefined;
  try {
    const real = realpathSync(isAbsolute(named) ? named : join(folder, named));
    const base = realpathSync(folder);
    return real !== base && inside(base, real) ? real : undefined;
  } catch {
    return undefined;
  }
}

/** The entry of the attempt's folder that bears the step: `iter_0001000`, `global_step1000`, `step-1000.pt`. */
export function commitByStep(folder: string, step: number, marker: string | undefined): string | undefined {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return undefined;
  }
  const bearing = entries
    .slice(0, MAX_ENTRIES)
    .filter((entry) => entry.name !== marker && [...entry.name.matchAll(/\d+/g)].some((digits) => Number(digits[0]) === step));
  const best = bearing.find((entry) => entry.isDirectory()) ?? bearing.find((entry) => entry.isFile());
  return best && commitPath(folder, best.name);
}
