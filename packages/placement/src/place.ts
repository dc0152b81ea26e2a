import { devicesEach, type ShapeCounts } from "./counts.ts";
import type { Block } from "./gang.ts";
import type { Holding } from "./nodes.ts";
import { placeByGroups } from "./parallel-groups.ts";
import type { Partition } from "./partition.ts";
import { placeOne } from "./place-one.ts";
import type { Charge, PlacedRole, Placement } from "./placement.ts";
import type { Placer } from "./placer.ts";
import { leadingRole, memberCounts, type Request, type ResolvedRole, type ResolvedVariant } from "./request.ts";
import { sameNodes } from "./same-nodes.ts";

/** Placements of single roles for one gang beyond the first of each. */
const ROLE_TRIES = 64;

export interface PlaceOptions {
  /** Whether the queue may use this much more. */
  allowed?: (charges: readonly Charge[]) => boolean;
  /** Whether a partition may be used at all for this job now (leases, maintenance). */
  usable?: (partition: Partition) => boolean;
  /** The only partition for the role that leads and those that follow it. */
  lead?: Partition;
  /** Nodes that may not be used. */
  avoid?: Iterable<number>;
  /** Order of variant and partition: lower first; absent: as listed. */
  cost?: (variant: ResolvedVariant, partition: Partition) => number;
}

/**
 * Finds room and takes it: variants in order, every pool of each. Null when it does not fit; `failure` then says
 * why, as the one closest to running.
 */
export function place(placer: Placer, request: Request, options: PlaceOptions = {}): Placement | null {
  placer.failure = "no_pool";
  placer.quotaRefused = false;
  const tries: { variant: ResolvedVariant; partition: Partition; cost: number }[] = [];
  for (const variant of request.variants) {
    for (const partition of placer.matching(variant, leadingRole(variant))) {
      if (options.usable?.(partition) === false || (options.lead ?? partition) !== partition) continue;
      tries.push({ variant, partition, cost: options.cost?.(variant, partition) ?? 0 });
    }
  }
  if (options.cost !== undefined) tries.sort((a, b) => a.cost - b.cost);
  const avoid = new Set(options.avoid ?? []);
  for (const id of request.excludedNodes) {
    const slot = placer.nodes.names.find(id);
    if (slot >= 0) avoid.add(slot);
  }
  if (placer.doubtful.size > 0) {
    const own = new Set(request.preferredNodes.map((id) => placer.nodes.names.find(id)));
    const wary = new Set([...avoid, ...[...placer.doubtful].filter((slot) => !own.has(slot))]);
    for (const { variant, partition } of tries) {
      const placed = placeVariant(placer, request, variant, partition, wary, options);
      if (placed !== null) return placed;
    }
  }
  for (const { variant, partition } of tries) {
    const placed = placeVariant(placer, request, variant, partition, avoid, options);
    if (placed !== null) return placed;
  }
  return null;
}

function placeVariant(
  placer: Placer,
  request: Request,
  variant: ResolvedVariant,
  lead: Partition,
  avoid: ReadonlySet<number>,
  options: PlaceOptions,
): Placement | null {
  if (variant.roles.length === 1 || !request.withinRequired) {
    return placeRoles(placer, request, variant, lead, avoid, options, undefined);
  }
  // Several roles in one block: try the blocks that the first role could use.
  const { levels } = lead;
  for (let block = 0; block < levels[request.within]!.count; block++) {
    const placed = placeRoles(placer, request, variant, lead, avoid, options, { level: request.within, block });
    if (placed !== null) return placed;
  }
  return null;
}

/** Roles one after the other as listed; where that fails, those with larger members first. */
function placeRoles(
  placer: Placer,
  request: Request,
  variant: ResolvedVariant,
  lead: Partition,
  avoid: ReadonlySet<number>,
  options: PlaceOptions,
  inside: Block | undefined,
): Placement | null {
  const { roles } = variant;
  const placed = placeInOrder(placer, roles, request, variant, lead, avoid, options, inside);
  if (placed !== null || roles.length === 1) return placed === null ? null : { variant, roles: placed };
  const larger = [...roles].sort((a, b) => b.shape.devices - a.shape.devices);
  if (larger.every((role, i) => role.shape.devices === roles[i]!.shape.devices)) return null;
  const found = placeInOrder(placer, larger, request, variant, lead, avoid, options, inside);
  return found === null ? null : { variant, roles: found.sort((a, b) => roles.indexOf(a.role) - roles.indexOf(b.role)) };
}

/** Where a role finds no room, those before it go to their next pool, or take fewer members; so many times at most. */
function placeInOrder(
  placer: Placer,
  order: readonly ResolvedRole[],
  request: Request,
  variant: ResolvedVariant,
  lead: Partition,
  avoid: ReadonlySet<number>,
  options: PlaceOptions,
  inside: Block | undefined,
): PlacedRole[] | null {
  const placed: PlacedRole[] = [];
  let tries = ROLE_TRIES + order.length;
  const placeFrom = (at: number): boolean => {
    const role = order[at];
    if (role === undefined) return true;
    const charges = placed.map((done) => ({ partition: done.partition, shape: done.role.shape, members: done.members.length }));
    for (const partition of placer.choices(variant, role, lead)) {
      const block = inside === undefined ? undefined : sameBlock(lead, partition, inside);
      if (block === null || options.usable?.(partition) === false) continue;
      for (let most = role.max; tries > 0; ) {
        tries--;
        const members = placeRole(placer, request, role, most, partition, avoid, options, charges, block);
        if (members === null) break;
        placed.push({ role, partition, members });
        if (placeFrom(at + 1)) return true;
        placed.pop();
        for (const member of members) placer.nodes.give(member);
        if (members.length === role.min) break;
        most = role.min + Math.floor((members.length - role.min) / 2 / role.step) * role.step;
      }
    }
    return false;
  };
  return placeFrom(0) ? placed : null;
}

function placeRole(
  placer: Placer,
  request: Request,
  role: ResolvedRole,
  most: number,
  partition: Partition,
  avoid: ReadonlySet<number>,
  options: PlaceOptions,
  charged: readonly Charge[],
  inside: Block | undefined,
): Holding[] | null {
  const counts = placer.counts(partition, role.shape);
  for (const members of memberCounts(role)) {
    if (members > most) continue;
    if (options.allowed !== undefined && !options.allowed([...charged, { partition, shape: role.shape, members }])) {
      placer.quotaRefused = true;
      if (placer.failure === "no_pool") placer.failure = "quota";
      continue;
    }
    placer.failure = "capacity";
    if (counts.total < members || placer.power.devicesLeft(partition.pool) < members * devicesEach(role.shape)) continue;
    const before = charged.reduce((sum, charge) => sum + charge.members, 0);
    const again = sameNodes(placer, request, role, counts, request.preferredNodes.slice(before, before + members), members, avoid, inside);
    if (again !== null) return placer.takeAt(again, role.shape);
    if (members === 1 && inside === undefined && avoid.size === 0) {
      const chosen = placer.shared[partition.index]!.choose(placer.nodes, role.shape);
      if (chosen !== null) return placer.takeAt([chosen.slot], role.shape, chosen.device);
    }
    const slots =
      (members === 1 && inside === undefined ? placeOne(placer, partition, counts, role, avoid) : null) ??
      (members === 1 && inside === undefined && avoid.size === 0 ? null : placeMany(placer, request, role, counts, members, avoid, inside));
    if (slots !== null) return placer.takeAt(slots, role.shape);
  }
  return null;
}

function placeMany(
  placer: Placer,
  request: Request,
  role: ResolvedRole,
  counts: ShapeCounts,
  members: number,
  avoid: ReadonlySet<number>,
  inside: Block | undefined,
): number[] | null {
  if (avoid.size > 0) counts.block(placer.nodes, avoid);
  try {
    return placeByGroups(counts, placer.nodes, role, {
      members,
      within: request.withinRequired ? request.within : placer.levels.root,
      ...(inside === undefined ? {} : { inside }),
    });
  } finally {
    if (avoid.size > 0) counts.unblock();
  }
}

/** The block of another partition that is the same place in the fabric; null when it has none there. */
function sameBlock(from: Partition, to: Partition, block: Block): Block | null {
  if (from === to) return block;
  const path = from.levels[block.level]!.path[block.block]!;
  const found = to.levels[block.level]!.path.indexOf(path);
  return found < 0 ? null : { level: block.level, block: found };
}
