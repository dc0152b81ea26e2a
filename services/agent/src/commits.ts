import { readdirSync, realpathSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { entryOfStep } from "@muster/output";
import { inside } from "./area.ts";

/* Which checkpoint on disk a marker or a log line speaks of. */

const MAX_ENTRIES = 10_000;

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
  const best = entryOfStep(
    entries.slice(0, MAX_ENTRIES).flatMap((entry) => (entry.isDirectory() || entry.isFile() ? [{ name: entry.name, folder: entry.isDirectory() }] : [])),
    step,
    marker,
  );
  return best === undefined ? undefined : commitPath(folder, best);
}
