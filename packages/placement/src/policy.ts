/** Operator policy; every field has a safe default and may be changed live. */
export interface Policy {
  /** Running time during which a job may not be evicted or moved. Default 5 minutes. */
  protectedRuntimeMs: number;
  /** `fair_share`: also surplus is taken back from those who hold more of it. Default `fair_share`. */
  reclaim: "fair_share" | "nominal" | "never";
  /**
   * Part of the cluster by which a queue's share must exceed another's before work is evicted to even them out;
   * smaller differences are not worth the lost work. Default 0.001.
   */
  fairShareMargin: number;
  /** Whether capacity that no queue is guaranteed may be borrowed. Default `borrowable`. */
  unassignedCapacity: "borrowable" | "closed";
  /** Half-life of past usage in the fair order; 0 counts present usage only. Default 0. */
  usageHalfLifeMs: number;
  /** Whether a blocked job's dated reservation holds back later jobs. Default `dated`. */
  backfill: "dated" | "greedy";
  /** Dated reservations kept at a time. Default 8. */
  reservations: number;
  /** Move running jobs when a waiting gang can start by it. Default true. */
  consolidation: boolean;
  /** Jobs that may span zones at a time; absent: any number. */
  maxCrossZoneJobs?: number;
}

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
