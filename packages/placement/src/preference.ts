import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import type { Request, ResolvedVariant } from "./request.ts";
import type { State } from "./state.ts";

/**
 * What a job prefers among variants and pools, lower first; null: as listed. Speed is the variant's own figure, or
 * what finished runs of the job's class showed on that accelerator.
 */
export function preferenceOf(state: State, job: JobRecord): ((variant: ResolvedVariant, partition: Partition) => number) | null {
  const policy = job.input.variantPolicy ?? "ordered";
  if (policy === "ordered") return null;
  const speed = (variant: ResolvedVariant, partition: Partition): number => {
    const seen = state.learned.quantile(job.input.jobClass, 0.5, partition.accelerator);
    return seen === null ? variant.throughput : 1 / seen;
  };
  if (policy === "fastest") return (variant, partition) => -speed(variant, partition);
  return (variant, partition) => {
    const price = state.placer.pools.get(partition.pool)?.price ?? 0;
    const devices = variant.roles.reduce((sum, role) => sum + role.max * (role.shape.devices + role.shape.share / 1000), 0);
    return (price * devices) / speed(variant, partition);
  };
}

/** The request itself, or bound to one zone when as many jobs as the operator allows span several already. */
export function crossesZones(state: State, request: Request): Request {
  const most = state.policy.maxCrossZoneJobs;
  const zone = state.levels.list.findIndex((level) => level.rung === "zone") + 1;
  if (most === undefined || zone === 0) return request;
  let spanning = 0;
  for (const job of state.holding) {
    const zones = new Set(
      job.placement!.roles.flatMap(({ partition, members }) => members.map(({ node }) => partition.levels[zone]!.path[state.blockOf(partition, node, zone)])),
    );
    if (zones.size > 1) spanning++;
  }
  if (spanning < most) return request;
  return { ...request, within: Math.min(request.within, zone), withinRequired: true };
}
