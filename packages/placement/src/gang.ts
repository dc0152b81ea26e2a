import type { ShapeCounts } from "./counts.ts";
import type { NodeTable } from "./nodes.ts";

/** `size` consecutive members share one block of `level`. */
export interface Layer {
  size: number;
  level: number;
  required: boolean;
}

/** One block of a partition's layout. */
export interface Block {
  level: number;
  block: number;
}

export interface GangAsk {
  members: number;
  /** From the smallest size up; each size divides the next and `members`. */
  layers: readonly Layer[];
  /** The whole gang stays in one block of this level; the root level where nothing is asked. */
  within: number;
  /** Search only below this block. */
  inside?: Block;
}

/**
 * Node slots in rank order for a gang, or null when it does not fit.
 *
 * Members are counted per block bottom up, in whole slices from each layer's level on; the gang goes into the
 * lowest-level block that takes it, the one with the least room of these (best fit, so that large whole blocks stay
 * whole), and is dealt top down: always to the child with the least room that takes all that is left, else to the
 * roomiest child. Preferred layers are widened level by level, the largest first.
 */
export function placeGang(counts: ShapeCounts, nodes: NodeTable, ask: GangAsk): number[] | null {
  if (counts.total < ask.members) return null;
  const root = counts.partition.levels.length - 1;
  const layers = ask.layers.map((layer) => ({ ...layer }));
  for (;;) {
    const placed = placeStrictly(counts, nodes, ask, layers);
    if (placed !== null) return placed;
    const widest = layers.findLast((layer) => !layer.required && layer.level < root);
    if (widest === undefined) return null;
    widest.level++;
  }
}

/** Room per block in slices, for each level up to the root. */
export interface Room {
  caps: Int32Array[];
  /** Members in one unit of `caps` at each level. */
  unit: number[];
}

export function roomFor(counts: ShapeCounts, layers: readonly Layer[]): Room {
  const { levels } = counts.partition;
  const unit: number[] = [];
  for (let level = 0; level < levels.length; level++) {
    let size = 1;
    for (let i = 0; i < layers.length; i++) {
      // A larger slice in a lower block holds every smaller one, wherever those are allowed.
      const layer = layers[i]!;
      let lowest = layer.level;
      for (let j = i + 1; j < layers.length; j++) lowest = Math.min(lowest, layers[j]!.level);
      if (lowest <= level) size = layer.size;
    }
    unit.push(size);
  }
  const caps: Int32Array[] = [];
  for (let level = 0; level < levels.length; level++) {
    const below = level === 0 ? 1 : unit[level - 1]!;
    if (unit[level] === 1) {
      caps.push(counts.sums[level]!);
      continue;
    }
    const { count, childStart } = levels[level]!;
    const own = new Int32Array(count);
    const ratio = unit[level]! / below;
    for (let block = 0; block < count; block++) {
      let sum = 0;
      if (level === 0) sum = counts.sums[0]![block]!;
      else for (let c = childStart[block]!; c < childStart[block + 1]!; c++) sum += caps[level - 1]![c]!;
      own[block] = ratio === 1 ? sum : Math.floor(sum / ratio);
    }
    caps.push(own);
  }
  return { caps, unit };
}

function placeStrictly(counts: ShapeCounts, nodes: NodeTable, ask: GangAsk, layers: readonly Layer[]): number[] | null {
  const room = roomFor(counts, layers);
  const chosen = chooseBlock(counts, nodes, room, ask.members, ask.within, ask.inside);
  if (chosen === null) return null;
  const slots: number[] = [];
  deal(counts, nodes, room, chosen.level, chosen.block, ask.members / room.unit[chosen.level]!, slots);
  return slots;
}

/** The tightest block of the lowest possible level. */
export function chooseBlock(counts: ShapeCounts, nodes: NodeTable, room: Room, members: number, within: number, inside?: Block): Block | null {
  const { levels, nodeAt } = counts.partition;
  const highest = Math.min(within, inside?.level ?? levels.length - 1);
  for (let level = 0; level <= highest; level++) {
    const unit = room.unit[level]!;
    if (members % unit !== 0) continue;
    // Where larger slices hold together only further up, a lower block could break them.
    if (room.unit.some((size, above) => above > level && members % size !== 0)) continue;
    const needed = members / unit;
    const caps = room.caps[level]!;
    const [from, to] = blockRange(counts, level, inside);
    let best = -1;
    for (let block = from; block < to; block++) {
      if (caps[block]! < needed) continue;
      if (best < 0 || tighter(block, best)) best = block;
    }
    if (best >= 0) return { level, block: best };

    function tighter(a: number, b: number): boolean {
      if (caps[a] !== caps[b]) return caps[a]! < caps[b]!;
      // Of as many whole slices, the block with fewer members besides.
      const [roomA, roomB] = [counts.sums[level]![a]!, counts.sums[level]![b]!];
      if (roomA !== roomB) return roomA < roomB;
      if (level === 0) {
        const freeA = nodes.freeDevices[nodeAt[a]!]!;
        const freeB = nodes.freeDevices[nodeAt[b]!]!;
        if (freeA !== freeB) return freeA < freeB;
      }
      for (let up = level, x = a, y = b; up + 1 < levels.length; up++) {
        x = levels[up]!.parent[x]!;
        y = levels[up]!.parent[y]!;
        if (x === y) return false;
        const roomX = counts.sums[up + 1]![x]!;
        const roomY = counts.sums[up + 1]![y]!;
        if (roomX !== roomY) return roomX < roomY;
      }
      return false;
    }
  }
  return null;
}

/** Blocks of `level` below `inside`, as a half-open range. */
export function blockRange(counts: ShapeCounts, level: number, inside?: Block): [number, number] {
  const { levels } = counts.partition;
  if (inside === undefined) return [0, levels[level]!.count];
  let from = inside.block;
  let to = inside.block + 1;
  for (let l = inside.level; l > level; l--) {
    from = levels[l]!.childStart[from]!;
    to = levels[l]!.childStart[to]!;
  }
  return [from, to];
}

function deal(counts: ShapeCounts, nodes: NodeTable, room: Room, level: number, block: number, units: number, slots: number[]): void {
  const { levels, nodeAt } = counts.partition;
  if (level === 0) {
    const slot = nodeAt[block]!;
    for (let i = 0; i < units * room.unit[0]!; i++) slots.push(slot);
    return;
  }
  const { childStart } = levels[level]!;
  const below = level - 1;
  const caps = room.caps[below]!;
  const sums = counts.sums[below]!;
  const nodeStart = levels[below]!.nodeStart;
  let left = units * (room.unit[level]! / room.unit[below]!);
  const children: number[] = [];
  for (let c = childStart[block]!; c < childStart[block + 1]!; c++) if (caps[c]! > 0) children.push(c);
  const spare = (child: number): number => (nodeStart[child + 1] === nodeStart[child]! + 1 ? nodes.freeDevices[nodeAt[nodeStart[child]!]!]! : 0);
  if (children.length > 1) children.sort((a, b) => caps[b]! - caps[a]! || sums[a]! - sums[b]! || spare(a) - spare(b) || a - b);

  const share = new Map<number, number>();
  for (let i = 0; left > 0; i++) {
    let child = children[i]!;
    if (caps[child]! >= left) {
      let last = i;
      while (last + 1 < children.length && caps[children[last + 1]!]! >= left) last++;
      const least = caps[children[last]!]!;
      while (last > i && caps[children[last - 1]!] === least) last--;
      child = children[last]!;
    }
    const taken = Math.min(left, caps[child]!);
    share.set(child, taken);
    left -= taken;
  }
  for (const child of [...share.keys()].sort((a, b) => a - b)) {
    deal(counts, nodes, room, below, child, share.get(child)!, slots);
  }
}
