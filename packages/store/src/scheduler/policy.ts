import { duration } from "@muster/model";
import type { Policy } from "@muster/placement";
import { z } from "zod";

/**
 * `placement` of the cluster's settings: the operator's policy, changed live. What is absent has the engine's default.
 * Durations are seconds, or texts such as 5m.
 */
export const placementSettings = z.strictObject({
  /** Running time during which a job may not be evicted or moved. */
  protected_runtime: duration.optional(),
  reclaim: z.enum(["fair_share", "nominal", "never"]).optional(),
  unassigned_capacity: z.enum(["borrowable", "closed"]).optional(),
  /** Of past usage in the fair order; 0 counts present usage only. */
  usage_half_life: duration.optional(),
  backfill: z.enum(["dated", "greedy"]).optional(),
  reservations: z.int().min(0).max(1000).optional(),
  consolidation: z.boolean().optional(),
  max_cross_zone_jobs: z.int().min(0).optional(),
});

export function policyOf(settings: z.output<typeof placementSettings>): Partial<Policy> {
  return {
    ...(settings.protected_runtime !== undefined && { protectedRuntimeMs: settings.protected_runtime * 1000 }),
    ...(settings.reclaim !== undefined && { reclaim: settings.reclaim }),
    ...(settings.unassigned_capacity !== undefined && { unassignedCapacity: settings.unassigned_capacity }),
    ...(settings.usage_half_life !== undefined && { usageHalfLifeMs: settings.usage_half_life * 1000 }),
    ...(settings.backfill !== undefined && { backfill: settings.backfill }),
    ...(settings.reservations !== undefined && { reservations: settings.reservations }),
    ...(settings.consolidation !== undefined && { consolidation: settings.consolidation }),
    ...(settings.max_cross_zone_jobs !== undefined && { maxCrossZoneJobs: settings.max_cross_zone_jobs }),
  };
}
