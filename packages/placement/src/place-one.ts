import type { ShapeCounts } from "./counts.ts";
import type { Partition } from "./partition.ts";
import type { Placer } from "./placer.ts";
import type { ResolvedRole } from "./request.ts";

/** One member: the node with the fewest free devices that takes it; a fresh node only from the fullest blocks. */
export function placeOne(placer: Placer, partition: Partition, counts: ShapeCounts, role: ResolvedRole, avoid: ReadonlySet<number>): number[] | null {
  const index = placer.freeIndex[partition.index]!;
  index.refresh(placer.nodes);
  const perNode = counts.sums[0]!;
  if (role.shape.share > 0) {
    if (avoid.size > 0) return null;
    const best = tightestShare(placer, partition, counts, role.shape.share);
    return best < 0 ? null : [best];
  }
  for (let free = role.shape.devices; free < index.highest; free++) {
    for (let position = index.next(free, 0); position >= 0; position = index.next(free, position + 1)) {
      if (perNode[position]! > 0 && !avoid.has(partition.nodeAt[position]!)) return [partition.nodeAt[position]!];
    }
  }
  if (avoid.size > 0) return null;
  let block = 0;
  for (let level = partition.levels.length - 1; level > 0; level--) {
    const { childStart } = partition.levels[level]!;
    const sums = counts.sums[level - 1]!;
    let best = -1;
    for (let child = childStart[block]!; child < childStart[block + 1]!; child++) {
      if (sums[child]! > 0 && (best < 0 || sums[child]! < sums[best]!)) best = child;
    }
    if (best < 0) return null;
    block = best;
  }
  return [partition.nodeAt[block]!];
}

function tightestShare(placer: Placer, partition: Partition, counts: ShapeCounts, share: number): number {
  const { nodes } = placer;
  let best = -1;
  let bestScore = Infinity;
  for (let position = 0; position < partition.nodeAt.length; position++) {
    if (counts.sums[0]![position] === 0) continue;
    const slot = partition.nodeAt[position]!;
    const device = nodes.chooseShare(slot, share);
    const left = 1000 - nodes.held[nodes.deviceStart[slot]! + device]! - share;
    const score = left * 1000 + nodes.freeDevices[slot]!;
    if (score < bestScore) {
      bestScore = score;
      best = slot;
    }
  }
  return best;
}
