import type { EffectiveSettings, PlacementSettings } from "@muster/model";
import { DEFAULT_POLICY, type Policy } from "@muster/placement";

/** The operator's policy in the engine's units; what is not set is not named, so that the engine's own default holds. */
export function policyOf(settings: PlacementSettings): Partial<Policy> {
  return {
    ...(settings.protected_runtime !== undefined && { protectedRuntimeMs: settings.protected_runtime * 1000 }),
    ...(settings.reclaim !== undefined && { reclaim: settings.reclaim }),
    ...(settings.fair_share_margin !== undefined && { fairShareMargin: settings.fair_share_margin }),
    ...(settings.unassigned_capacity !== undefined && { unassignedCapacity: settings.unassigned_capacity }),
    ...(settings.usage_half_life !== undefined && { usageHalfLifeMs: settings.usage_half_life * 1000 }),
    ...(settings.backfill !== undefined && { backfill: settings.backfill }),
    ...(settings.reservations !== undefined && { reservations: settings.reservations }),
    ...(settings.consolidation !== undefined && { consolidation: settings.consolidation }),
    ...(typeof settings.max_cross_zone_jobs === "number" && { maxCrossZoneJobs: settings.max_cross_zone_jobs }),
  };
}

/** The engine's defaults as settings. */
export function defaultPlacement(): EffectiveSettings["placement"] {
  const policy = DEFAULT_POLICY;
  return {
    protected_runtime: policy.protectedRuntimeMs / 1000,
    reclaim: policy.reclaim,
    fair_share_margin: policy.fairShareMargin,
    unassigned_capacity: policy.unassignedCapacity,
    usage_half_life: policy.usageHalfLifeMs / 1000,
    backfill: policy.backfill,
    reservations: policy.reservations,
    consolidation: policy.consolidation,
    max_cross_zone_jobs: policy.maxCrossZoneJobs ?? null,
  };
}
