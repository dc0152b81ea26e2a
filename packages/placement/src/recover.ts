import type { Decided } from "./disrupt.ts";
import { placeGang, type Block } from "./gang.ts";
import { NONE_LOST, type JobRecord } from "./jobs.ts";
import { locality } from "./locality.ts";
import type { Holding } from "./nodes.ts";
import type { PlacedRole } from "./placement.ts";
import { chargesOf, run, startOf } from "./places.ts";
import type { State } from "./state.ts";
import { closedNodes } from "./windows.ts";

/** Gangs that lost members start again whole as soon as replacements fit around the healthy ones. */
export function completeRecovering(state: State, decided: Decided): void {
  for (const job of state.recovering) {
    if (!replaceLost(state, job)) continue;
    state.recovering.delete(job);
    job.lost = NONE_LOST;
    state.quota.refund(job.queue, job.usage);
    job.usage = state.quota.usageOf(chargesOf(job.placement!));
    state.quota.charge(job.queue, job.usage);
    run(state, job, state.now);
    decided.starts.push(startOf(state, job, locality(state.placer, job.request, job.placement!)));
  }
}

/** Replaces every lost rank, or changes nothing. */
function replaceLost(state: State, job: JobRecord): boolean {
  const found: { placed: PlacedRole; members: Holding[] }[] = [];
  for (const placed of job.placement!.roles) {
    const members = replacementsFor(state, job, placed, job.lost.get(placed.role.name) ?? []);
    if (members === null) {
      for (const { placed: other, members: full } of found) {
        for (const rank of job.lost.get(other.role.name) ?? []) state.placer.nodes.give(full[rank]!);
      }
      return false;
    }
    found.push({ placed, members });
  }
  for (const { placed, members } of found) placed.members = members;
  state.holding.add(job);
  return true;
}

/** All members of a role with the lost ranks placed anew and taken; null when they do not fit. */
function replacementsFor(state: State, job: JobRecord, placed: PlacedRole, lost: readonly number[]): Holding[] | null {
  const { placer } = state;
  const { role } = placed;
  const size = placed.members.length + lost.length;
  const members = withGaps(placed, lost);

  const inner = role.layers.find((layer) => layer.required)?.size ?? size;
  const taken: Holding[] = [];
  const avoid = new Set([...job.request.excludedNodes.map((id) => placer.nodes.names.find(id)), ...closedNodes(state, job)]);
  // One host each: those that the gang holds are no choice.
  if (role.shape.distinct) for (const member of healthyOf(members)) avoid.add(member.node);
  for (let first = 0; first < size; first += inner) {
    const ranks = lost.filter((rank) => rank >= first && rank < first + inner);
    if (ranks.length === 0) continue;
    const slots = nearest(state, job, placed, members, ranks, avoid);
    if (slots === null) {
      for (const holding of taken) placer.nodes.give(holding);
      return null;
    }
    for (const [i, rank] of ranks.entries()) {
      const [holding] = placer.takeAt([slots[i]!], role.shape);
      members[rank] = holding!;
      taken.push(holding!);
      if (role.shape.distinct) avoid.add(holding!.node);
    }
  }
  return healthyOf(members);
}

/** Members by rank, with the lost ones missing. */
export function withGaps(placed: PlacedRole, lost: readonly number[]): (Holding | undefined)[] {
  const healthy = [...placed.members];
  return Array.from({ length: healthy.length + lost.length }, (_, rank) => (lost.includes(rank) ? undefined : healthy.shift()));
}

function healthyOf(members: readonly (Holding | undefined)[]): Holding[] {
  return members.filter((member) => member !== undefined);
}

/** Where the replacement of lost ranks must be: the lowest block that a required constraint ties them to. */
export function boundOf(
  state: State,
  job: JobRecord,
  { role }: PlacedRole,
  members: readonly (Holding | undefined)[],
  ranks: readonly number[],
): { level: number; anchor: Holding | undefined; together: number } {
  let level = job.request.withinRequired ? job.request.within : state.levels.root;
  let anchor = healthyOf(members)[0];
  let together = state.levels.root;
  for (const layer of [...role.layers].reverse()) {
    if (!layer.required) continue;
    const group = Math.floor(ranks[0]! / layer.size) * layer.size;
    const mate = members.slice(group, group + layer.size).find((member) => member !== undefined);
    if (mate === undefined) together = Math.min(together, layer.level);
    else {
      level = Math.min(level, layer.level);
      anchor = mate;
    }
  }
  return { level, anchor, together };
}

/** Room for lost ranks of one group as near to the rest as there is, never outside what is required. */
function nearest(
  state: State,
  job: JobRecord,
  placed: PlacedRole,
  members: readonly (Holding | undefined)[],
  ranks: readonly number[],
  avoid: ReadonlySet<number>,
): number[] | null {
  const { role, partition } = placed;
  const { placer } = state;
  const counts = placer.counts(partition, role.shape);
  const { level: bound, anchor, together } = boundOf(state, job, placed, members, ranks);
  counts.block(placer.nodes, avoid);
  try {
    for (let level = 0; level <= bound; level++) {
      const inside: Block | undefined = anchor === undefined ? undefined : { level, block: state.blockOf(partition, anchor.node, level) };
      const slots = placeGang(counts, placer.nodes, {
        members: ranks.length,
        layers: [],
        within: Math.min(together, level),
        ...(inside === undefined ? {} : { inside }),
      });
      if (slots !== null) return slots;
    }
    return null;
  } finally {
    counts.unblock();
  }
}
