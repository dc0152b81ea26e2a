import type { JobRecord } from "./jobs.ts";
import type { Holding } from "./nodes.ts";
import type { RunningJob } from "./placement-engine.ts";
import type { Placement } from "./placement.ts";
import type { Placer } from "./placer.ts";
import { hold, run } from "./places.ts";
import type { State } from "./state.ts";
import { evict } from "./stopping.ts";

/** It runs already, on these nodes. */
export function restore(state: State, id: string, running: RunningJob): void {
  const job = state.get(id);
  if (job.state !== "waiting") throw new Error(`job ${id}: already holds places`);
  state.settle();
  const placement = placementOf(state.placer, job, running);
  state.placer.take(placement);
  // whoever else was leaving these places has left them, though that may be told only later
  hold(state, job, placement);
  run(state, job, running.startedAt);
  job.lastCheckpointAt = running.lastCheckpointAt ?? running.startedAt;
  if (running.stoppingFor !== undefined) evict(state, job, running.stoppingFor);
}

/** Where a job runs, as the store tells it. Throws an Error that names the job and what is not known of its places. */
function placementOf(placer: Placer, job: JobRecord, running: RunningJob): Placement {
  const { id } = job.input;
  const variant = job.request.variants.find((v) => v.index === running.variant);
  if (variant === undefined) throw new Error(`job ${id}: has no variant ${running.variant}`);
  const { nodes, partitions } = placer;
  const roles: Placement["roles"] = [];
  for (const role of variant.roles) {
    const members: Holding[] = [];
    for (const member of running.members.filter(({ role: name }) => name === role.name).sort((a, b) => a.rank - b.rank)) {
      const node = nodes.names.find(member.node);
      if (node < 0) throw new Error(`job ${id}: node "${member.node}" is not known`);
      members.push({ node, devices: member.devices, share: member.share, cpuMillis: member.cpuMillis, memoryBytes: member.memoryBytes });
    }
    if (members.length > 0) roles.push({ role, partition: partitions[nodes.partition[members[0]!.node]!]!, members });
  }
  if (roles.length === 0) throw new Error(`job ${id}: no member belongs to a role of the job`);
  for (const { members } of roles) {
    for (const member of members) {
      if (member.devices.some((d) => d < 0 || d >= nodes.deviceCount[member.node]!)) {
        throw new Error(`job ${id}: node "${nodes.names.name(member.node)}" has no such device`);
      }
    }
  }
  return { variant, roles };
}
