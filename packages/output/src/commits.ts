/* Which checkpoint a marker or a log line speaks of. */

/** `1000` or `global_step1000` → 1000; undefined where the text doesn't end in a step. */
export function markerStep(text: string): number | undefined {
  const digits = /(?:^|\D)(\d{1,15})\s*$/.exec(text.slice(0, 256))?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Of what lies in an attempt's folder, that which bears the step: `iter_0001000`, `global_step1000`, `step-1000.pt`. Folders go first. */
export function entryOfStep(entries: readonly { name: string; folder: boolean }[], step: number, marker: string | undefined): string | undefined {
  const bearing = entries.filter((entry) => entry.name !== marker && [...entry.name.matchAll(/\d+/g)].some((digits) => Number(digits[0]) === step));
  return (bearing.find((entry) => entry.folder) ?? bearing[0])?.name;
}
