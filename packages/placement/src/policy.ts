import type { Policy } from "./types.ts";

export const DEFAULT_POLICY: Policy = {
  protectedRuntimeMs: 5 * 60_000,
  reclaim: "fair_share",
  fairShareMargin: 0.001,
  unassignedCapacity: "borrowable",
  usageHalfLifeMs: 0,
  backfill: "dated",
  reservations: 8,
  consolidation: true,
};

/** Checks a change of policy and merges it. Throws an Error that names the field. */
export function mergePolicy(policy: Policy, change: Partial<Policy>): Policy {
  const merged = { ...policy, ...change };
  for (const field of ["protectedRuntimeMs", "usageHalfLifeMs", "reservations", "fairShareMargin", "maxCrossZoneJobs"] as const) {
    const value = merged[field];
    if (value !== undefined && !(Number.isFinite(value) && value >= 0)) throw new Error(`policy.${field}: must be 0 or more`);
  }
  const oneOf = (field: "reclaim" | "unassignedCapacity" | "backfill", values: readonly string[]): void => {
    if (!values.includes(merged[field])) throw new Error(`policy.${field}: must be one of ${values.join(", ")}`);
  };
  oneOf("reclaim", ["fair_share", "nominal", "never"]);
  oneOf("unassignedCapacity", ["borrowable", "closed"]);
  oneOf("backfill", ["dated", "greedy"]);
  return merged;
}
