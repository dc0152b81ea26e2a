import type { LogStore } from "@muster/logs";
import { DEFAULT_RETENTION, ensurePartitions, readCluster, retain, type Pool } from "@muster/store";
import type { Check } from "@muster/supervisor";
import { z } from "zod";

const HOUR = 3_600_000;

/** `settings.retention` of the cluster, in seconds and bytes. */
const retentionSettings = z
  .object({ jobs: z.number().positive(), events: z.number().positive(), logs: z.number().positive(), logs_total: z.number().positive() })
  .partial()
  .catch({});

/** What has to be done now and then so that nothing grows for ever. */
export function housekeeping(pool: Pool, logs: LogStore): Check[] {
  return [
    {
      name: "retention",
      every: HOUR,
      run: async () => {
        const { settings } = await readCluster(pool);
        const set = retentionSettings.parse(settings["retention"] ?? {});
        await ensurePartitions(pool, Date.now());
        await retain(pool, Date.now(), { jobs: set.jobs ?? DEFAULT_RETENTION.jobs, events: set.events ?? DEFAULT_RETENTION.events });
        await logs.prune({ maxAge: (set.logs ?? DEFAULT_RETENTION.jobs) * 1000, ...(set.logs_total !== undefined && { maxTotal: set.logs_total }) }, Date.now());
      },
    },
  ];
}
