import type { LogStore } from "@muster/logs";
import { addUpFinished, effectiveSettingsOf, ensurePartitions, readSettings, retain, type Pool } from "@muster/store";
import type { Check } from "./side-work.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** What has to be done now and then so that nothing grows for ever. */
export function housekeeping(pool: Pool, logs: LogStore): Check[] {
  return [
    {
      name: "retention",
      every: HOUR,
      run: async () => {
        const { retention } = effectiveSettingsOf(await readSettings(pool));
        await ensurePartitions(pool, Date.now());
        await retain(pool, Date.now(), retention);
        await logs.prune({ maxAge: retention.logs * 1000, ...(retention.logs_total !== null && { maxTotal: retention.logs_total }) }, Date.now());
      },
    },
    { name: "counts", every: MINUTE, run: () => addUpFinished(pool) },
  ];
}
