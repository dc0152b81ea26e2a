import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { leadingRole } from "./placer.ts";
import type { Request, ResolvedVariant } from "./request.ts";
import type { State } from "./state.ts";

type Speed = (variant: ResolvedVariant, partition: Partition) => number;

/** What a job prefers among variants and pools, lower first; null: as listed. */
export function preferenceOf(state: State, job: JobRecord): Speed | null {
  const policy = job.input.variantPolicy ?? "ordered";
  if (policy === "ordered") return null;
  const speed = speedOf(state, job);
  if (policy === "fastest") return (variant, partition) => -speed(variant, partition);
  return (variant, partition) => {
    const price = state.placer.pools.get(partition.pool)?.price ?? 0;
    const devices = variant.roles.reduce((sum, role) => sum + role.max * (role.shape.devices + role.shape.share / 1000), 0);
    return (price * devices) / speed(variant, partition);
  };
}

/**
 * Speed as finished runs of the job's class showed it on that accelerator. Where there were none, as the variant says,
 * in the unit in which the best of the others were better than they say: so what was never tried has its turn.
 */
function speedOf(state: State, job: JobRecord): Speed {
  const seenOn = (accelerator: string): number | null => state.learned.quantile(job.input.jobClass, 0.5, accelerator);
  let unit = 0;
  for (const variant of job.request.variants) {
    for (const { accelerator } of state.placer.matching(variant, leadingRole(variant))) {
      const seen = seenOn(accelerator);
      if (seen !== null) unit = Math.max(unit, 1 / seen / variant.throughput);
    }
  }
  return (variant, partition) => {
    const seen = seenOn(partition.accelerator);
    return seen === null ? variant.throughput * (unit || 1) : 1 / seen;
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
