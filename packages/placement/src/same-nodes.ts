import type { ShapeCounts } from "./counts.ts";
import type { Block } from "./gang.ts";
import type { Placer } from "./placer.ts";
import type { Request, ResolvedRole } from "./request.ts";

/** The preferred nodes in rank order, where all of them take their member and no constraint is broken. */
export function sameNodes(
  placer: Placer,
  request: Request,
  role: ResolvedRole,
  counts: ShapeCounts,
  ids: readonly string[],
  members: number,
  avoid: ReadonlySet<number>,
  inside: Block | undefined,
): number[] | null {
  if (ids.length < members || members === 0 || inside !== undefined) return null;
  const { nodes } = placer;
  const { partition } = counts;
  const slots = ids.map((id) => nodes.names.find(id));
  const wanted = new Map<number, number>();
  for (const slot of slots) {
    if (slot < 0 || nodes.partition[slot] !== partition.index || avoid.has(slot)) return null;
    wanted.set(slot, (wanted.get(slot) ?? 0) + 1);
    if (wanted.get(slot)! > counts.sums[0]![nodes.position[slot]!]!) return null;
  }
  const together = (from: number, size: number, level: number): boolean => {
    const blocks = new Set<number>();
    for (const slot of slots.slice(from, from + size)) {
      let block = nodes.position[slot]!;
      for (let l = 0; l < level; l++) block = partition.levels[l]!.parent[block]!;
      blocks.add(block);
    }
    return blocks.size === 1;
  };
  if (request.withinRequired && !together(0, members, request.within)) return null;
  for (const { size, level, required } of role.layers) {
    if (!required) continue;
    for (let from = 0; from < members; from += size) if (!together(from, size, level)) return null;
  }
  return slots;
}
