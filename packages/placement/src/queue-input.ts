/** What quota is counted in. Accelerators in thousandths of a device, cpus in thousandths, memory in bytes. */
export type QuotaResource = "accelerators" | "cpus" | "memory";

/** Quota of one resource, of all hardware or of one accelerator model or pool. */
export interface QuotaInput {
  resource: QuotaResource;
  accelerator?: string;
  pool?: string;
  /** Guaranteed share; of a parent, for its whole subtree. Absent: nothing guaranteed. */
  nominal?: number;
  /** Most above nominal. Absent: whatever is idle. */
  borrowLimit?: number;
  /** Most that others may take of an idle nominal. Absent: all of it. */
  lendLimit?: number;
  /** Absolute ceiling, also where no nominal is set. */
  limit?: number;
  /** What reclaim may never go below, if more than nominal. */
  guarantee?: number;
}

/** Who may be evicted, in other queues, so that this queue gets its own share back. */
export type ReclaimPolicy = "any_priority" | "lower_priority" | "never";

/** Who may be evicted within one queue. */
export type WithinQueuePolicy = "lower_priority" | "lower_or_newer_equal" | "never";

export interface QueueInput {
  id: string;
  parent?: string;
  quotas?: readonly QuotaInput[];
  /** Share of what nobody is guaranteed. Default 1. */
  weight?: number;
  /**
   * `strict`: nothing overtakes a blocked job that wants the same hardware. `least_service`: of equally urgent jobs those go
   * first that are expected to need the fewest further device-seconds, not the earliest, and running ones that need more
   * may have to stop for them. Default `best_effort`.
   */
  order?: "strict" | "best_effort" | "least_service";
  /** Default `any_priority`. */
  reclaim?: ReclaimPolicy;
  /** Default `lower_priority`. */
  withinQueue?: WithinQueuePolicy;
  /** Nothing is started from a paused queue. */
  paused?: boolean;
}
