import { groupTraffic, placeByGroups } from "./parallel-groups.ts";
import { meetingLevel, type Partition } from "./partition.ts";
import type { PlacedRole, Placement } from "./placement.ts";
import type { Placer } from "./placer.ts";
import type { Request, ResolvedRole } from "./request.ts";

/**
 * Hops that neighbours in rank order are apart, over all neighbours of a ring within each group: within the smallest
 * slices, then between the first members of those, and so on outwards, each pair weighted by how often it talks
 * (innermost most). Lower is better; 0 is everything on one node.
 */
function neighbours(partition: Partition, positions: readonly number[], sizes: readonly number[]): number {
  let cost = 0;
  let stride = 1;
  for (const size of [...sizes, positions.length]) {
    for (let group = 0; group < positions.length; group += size) {
      const count = Math.floor(size / stride);
      if (count < 2) continue;
      for (let i = 0; i < count; i++) {
        const a = positions[group + i * stride]!;
        const b = positions[group + ((i + 1) % count) * stride]!;
        cost += meetingLevel(partition, a, b);
      }
    }
    stride = size;
  }
  return cost;
}

/** Traffic of the role's parallel groups where these are known, else between neighbours in rank order. */
function traffic(partition: Partition, role: ResolvedRole, positions: readonly number[]): number {
  return (
    groupTraffic(partition, role, positions) ??
    neighbours(
      partition,
      positions,
      role.layers.map((layer) => layer.size),
    )
  );
}

const idealCosts = new WeakMap<Request, Map<string, number>>();

function idealCost(placer: Placer, request: Request, { role, partition, members }: PlacedRole): number {
  const known = idealCosts.get(request) ?? new Map<string, number>();
  idealCosts.set(request, known);
  const key = `${partition.index}/${partition.layoutVersion}/${role.name}/${members.length}`;
  let cost = known.get(key);
  if (cost === undefined) {
    const counts = placer.counts(partition, role.shape, true);
    const slots = placeByGroups(counts, placer.nodes, role, { members: members.length, within: placer.levels.root });
    cost =
      slots === null
        ? 0
        : traffic(
            partition,
            role,
            slots.map((slot) => placer.nodes.position[slot]!),
          );
    known.set(key, cost);
  }
  return cost;
}

/**
 * How close the placement comes to the best that this hardware could offer were it empty: 1 is as good, lower means
 * that more of the job's own traffic crosses switches.
 */
export function locality(placer: Placer, request: Request, placement: Placement): number {
  let cost = 0;
  let ideal = 0;
  for (const placed of placement.roles) {
    if (placed.members.length === 1) continue;
    const positions = placed.members.map((member) => placer.nodes.position[member.node]!);
    cost += traffic(placed.partition, placed.role, positions);
    ideal += idealCost(placer, request, placed);
  }
  return cost <= ideal ? 1 : (1 + ideal) / (1 + cost);
}
