import type { Decided } from "./disrupt.ts";
import { couldEverStart } from "./empty-cluster.ts";
import { placeGang, type Block } from "./gang.ts";
import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { chargesOf, membersOf } from "./places.ts";
import type { State } from "./state.ts";
import { closedNodes, leaseLasts } from "./windows.ts";

/** Elastic gangs that look for more members in one cycle. */
const GROWING = 16;

/**
 * Elastic gangs take room that nobody waits for, in whole steps. Growing is a restart from a checkpoint, so a gang is
 * left alone for the protected run time first.
 */
export function growElastic(state: State, decided: Decided): void {
  if (state.running.elastic.size === 0) return;
  const wanted = new Set<Partition>();
  for (const lanes of state.lanes.values()) {
    for (const lane of lanes.values()) {
      if (couldEverStart(state, lane)) for (const partition of state.placer.partitionsFor(lane.request)) wanted.add(partition);
    }
  }
  let tries = GROWING;
  for (const job of state.running.elastic) {
    if (tries === 0) return;
    if (job.state !== "running" || job.leaving !== null || job.resized || job.placement!.roles.length > 1) continue;
    const { partition } = job.placement!.roles[0]!;
    if (wanted.has(partition) || !leaseLasts(state, job, partition) || state.now - job.startedAt < state.protectedRuntime) continue;
    tries--;
    grow(state, job, decided);
  }
}

function grow(state: State, job: JobRecord, decided: Decided): void {
  const { placer, quota } = state;
  const placed = job.placement!.roles[0]!;
  const { role, partition, members } = placed;
  const counts = placer.counts(partition, role.shape);
  const most = Math.min(role.max - members.length, Math.floor(counts.total / role.step) * role.step);
  const { within, withinRequired, excludedNodes } = job.request;
  const inside: Block | undefined = withinRequired ? { level: within, block: state.blockOf(partition, members[0]!.node, within) } : undefined;
  const avoid = new Set([
    ...excludedNodes.map((id) => placer.nodes.names.find(id)),
    ...state.leaving.nodes(),
    ...closedNodes(state, job),
    ...(role.shape.distinct ? members.map((member) => member.node) : []),
  ]);
  for (let more = most; more > 0; more -= role.step) {
    if (placer.power.devicesLeft(partition.pool) < more * role.shape.devices) continue;
    if (!quota.allows(job.queue, quota.usageOf([{ partition, shape: role.shape, members: more }]))) continue;
    counts.block(placer.nodes, avoid);
    // Whole steps are whole segments, so the new ones are placed like a gang of their own.
    const slots = placeGang(counts, placer.nodes, {
      members: more,
      layers: role.layers,
      within: withinRequired ? within : state.levels.root,
      ...(inside === undefined ? {} : { inside }),
    });
    counts.unblock();
    if (slots === null) continue;
    const from = members.length;
    members.push(...placer.takeAt(slots, role.shape));
    state.holding.add(job);
    quota.refund(job.queue, job.usage);
    job.usage = quota.usageOf(chargesOf(job.placement!));
    quota.charge(job.queue, job.usage);
    job.grownFrom = { members: from, startedAt: job.startedAt };
    state.running.restart(job, state.now);
    job.resized = true;
    decided.grows.push({ job: job.input.id, members: membersOf(state, job.placement!).slice(from) });
    return;
  }
}
