import type { MemberPlacement, Start } from "./decisions.ts";
import { dequeue, enqueue } from "./enqueue.ts";
import { NOBODY, NONE_LOST, type JobRecord } from "./jobs.ts";
import type { Charge, Placement } from "./placement.ts";
import type { State } from "./state.ts";

/**
 * A waiting job holds these places, which are taken already. It runs at once, or is `reserved` while others are
 * still leaving them, or while the victims given are.
 */
export function occupy(state: State, job: JobRecord, placement: Placement, at: number, victims: Iterable<JobRecord> = []): void {
  hold(state, job, placement);
  const awaits = state.leaving.awaitedBy(placement);
  for (const victim of victims) awaits.add(victim);
  job.awaits = awaits;
  if (job.awaits.size > 0) {
    job.state = "reserved";
    state.reserved.add(job);
    state.setReason(job, "waiting_for_preemption");
  } else {
    run(state, job, at);
  }
}

/** A job waits no longer, and is charged for these places. */
export function hold(state: State, job: JobRecord, placement: Placement): void {
  dequeue(state, job);
  if (job.state === "waiting") state.waiting--;
  job.placement = placement;
  job.usage = state.quota.usageOf(chargesOf(placement));
  state.quota.charge(job.queue, job.usage);
  state.holding.add(job);
}

export function run(state: State, job: JobRecord, at: number): void {
  state.reserved.delete(job);
  job.startedAt = at;
  job.state = "running";
  state.running.add(job, state.learned);
  job.lastCheckpointAt = at;
  // It may be stopped from now on: who found nobody to take from looks anew.
  state.quota.version++;
}

/** Frees all that the job holds, and leaves it where it is otherwise. */
export function vacate(state: State, job: JobRecord): void {
  if (job.usage.length > 0) state.quota.refund(job.queue, job.usage);
  job.usage = [];
  if (job.placement !== null) state.placer.give(job.placement);
  job.placement = null;
  state.holding.delete(job);
  state.reserved.delete(job);
  state.running.remove(job);
  state.recovering.delete(job);
  job.resized = false;
  job.grownFrom = null;
  job.lost = NONE_LOST;
  job.awaits = NOBODY;
}

/** A job that held something waits again. */
export function requeue(state: State, job: JobRecord): void {
  vacate(state, job);
  if (job.state !== "waiting") state.waiting++;
  job.state = "waiting";
  enqueue(state, job);
}

/** Members of a running gang are lost; the others hold their places until the gang is whole again. */
export function loseMembers(state: State, job: JobRecord, lost: readonly { role: string; rank: number }[]): void {
  if (job.state !== "running" && job.state !== "recovering") throw new Error(`job ${job.input.id}: is not running`);
  // Of one that is not whole yet, those that are left have closed ranks.
  const before = ({ role, rank }: { role: string; rank: number }): number => (job.lost.get(role) ?? []).filter((gone) => gone < rank).length;
  dropMembers(
    state,
    job,
    lost.map((member) => ({ role: member.role, rank: member.rank - before(member) })),
  );
  const known = new Map(job.lost);
  for (const { role, rank } of lost)
    known.set(
      role,
      [...(known.get(role) ?? []), rank].sort((a, b) => a - b),
    );
  job.lost = known;
  state.running.remove(job);
  job.state = "recovering";
  state.recovering.add(job);
}

/** Some members of a gang are gone; the others keep their places and close ranks. */
export function dropMembers(state: State, job: JobRecord, gone: readonly { role: string; rank: number }[]): void {
  state.running.of(job.queue).version++;
  if (job.placement === null) throw new Error(`job ${job.input.id}: holds no places`);
  const { nodes } = state.placer;
  for (const { role, partition, members } of job.placement.roles) {
    const ranks = new Set(gone.filter((member) => member.role === role.name).map((member) => member.rank));
    if (ranks.size === 0) continue;
    for (const rank of ranks) {
      const member = members[rank];
      if (member === undefined) throw new Error(`job ${job.input.id}: role "${role.name}" has no rank ${rank}`);
      nodes.give(member);
    }
    const left = members.filter((_, rank) => !ranks.has(rank));
    members.length = 0;
    members.push(...left);
    partition.freed++;
  }
  state.holding.add(job);
  state.quota.refund(job.queue, job.usage);
  job.usage = state.quota.usageOf(chargesOf(job.placement));
  state.quota.charge(job.queue, job.usage);
}

export function startOf(state: State, job: JobRecord, locality: number): Start {
  const placement = job.placement!;
  return { job: job.input.id, variant: placement.variant.index, members: membersOf(state, placement), locality };
}

export function membersOf(state: State, placement: Placement): MemberPlacement[] {
  const { names } = state.placer.nodes;
  return placement.roles.flatMap(({ role, members }) =>
    members.map((member, rank) => ({
      role: role.name,
      rank,
      node: names.name(member.node),
      devices: member.devices,
      share: member.share,
      cpuMillis: member.cpuMillis,
      memoryBytes: member.memoryBytes,
    })),
  );
}

export function chargesOf(placement: Placement): Charge[] {
  return placement.roles.map(({ partition, role, members }) => ({ partition, shape: role.shape, members: members.length }));
}
