import type { Levels } from "./levels.ts";
import { naturalKey } from "./names.ts";
import type { NodeTable } from "./nodes.ts";

/** Blocks of one fabric level as flat arrays. Children and nodes of a block are contiguous. */
export interface BlockLevel {
  count: number;
  /** Index of the block one level up. */
  parent: Int32Array;
  /** Children one level down: `childStart[b]` up to `childStart[b + 1]`. */
  childStart: Int32Array;
  nodeStart: Int32Array;
  /** Path from the zone down, for people and to compare blocks of different partitions. */
  path: string[];
}

/**
 * Nodes of one pool and one accelerator model, laid out so that every block of the fabric is a contiguous range of
 * positions. Level 0 are the nodes themselves, the last level is the one block of all.
 */
export class Partition {
  readonly pool: string;
  readonly accelerator: string;
  readonly index: number;
  readonly members = new Set<number>();
  readonly paths = new Map<number, readonly string[]>();
  nodeAt = new Int32Array(0);
  levels: BlockLevel[] = [];
  /** Raised at every new layout, so that caches by position know when to start over. */
  layoutVersion = 0;
  /** Raised whenever capacity becomes free; what failed for lack of room need not be tried before. */
  freed = 0;
  totalDevices = 0;
  #stale = true;

  constructor(index: number, pool: string, accelerator: string) {
    this.index = index;
    this.pool = pool;
    this.accelerator = accelerator;
  }

  /** Adds a node with its block names from the lowest level up; an undefined name is a level it does not have. */
  add(slot: number, blocks: readonly (string | undefined)[]): void {
    // Top down, so that equal prefixes are equal blocks; a missing lowest level is the node itself.
    const path: string[] = [];
    for (let level = blocks.length - 1; level >= 0; level--) {
      path.push(blocks[level] ?? (level === 0 ? `\u0001${slot}` : ""));
    }
    this.members.add(slot);
    this.paths.set(slot, path);
    this.#stale = true;
  }

  remove(slot: number): void {
    this.members.delete(slot);
    this.paths.delete(slot);
    this.#stale = true;
  }

  samePath(slot: number, blocks: readonly (string | undefined)[]): boolean {
    const path = this.paths.get(slot);
    const top = blocks.length - 1;
    return path !== undefined && blocks.every((name, level) => path[top - level] === (name ?? (level === 0 ? `\u0001${slot}` : "")));
  }

  /** Sorts and numbers everything again if nodes came or went. */
  layout(nodes: NodeTable, levels: Levels): void {
    if (!this.#stale) return;
    this.#stale = false;
    this.layoutVersion++;
    const keyed = [...this.members].map((slot) => {
      const id = naturalKey(nodes.names.name(slot));
      const path = this.paths.get(slot)!;
      const named = path.map((name) => (name.startsWith("\u0001") ? "" : naturalKey(name)));
      return { slot, path, key: `${named.join("\u0000")}\u0000${id}` };
    });
    keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.slot - b.slot));
    const n = keyed.length;
    this.nodeAt = Int32Array.from(keyed, (entry) => entry.slot);
    for (let position = 0; position < n; position++) nodes.position[this.nodeAt[position]!] = position;

    const built: BlockLevel[] = [];
    const one = Int32Array.from({ length: n + 1 }, (_, i) => i);
    built.push({ count: n, parent: new Int32Array(n), childStart: one, nodeStart: one, path: keyed.map((e) => nodes.names.name(e.slot)) });
    for (let level = 1; level <= levels.root; level++) {
      const below = built[level - 1]!;
      const depth = levels.root - level; // names of the path that blocks of this level share
      const childStart: number[] = [];
      const nodeStart: number[] = [];
      const path: string[] = [];
      let last: readonly string[] | null = null;
      for (let child = 0; child < below.count; child++) {
        const own = keyed[below.nodeStart[child]!]!.path;
        if (last === null || !samePrefix(last, own, depth)) {
          childStart.push(child);
          nodeStart.push(below.nodeStart[child]!);
          path.push(blockName(own, depth, nodes, keyed[below.nodeStart[child]!]!.slot));
          last = own;
        }
        below.parent[child] = childStart.length - 1;
      }
      childStart.push(below.count);
      nodeStart.push(n);
      built.push({
        count: childStart.length - 1,
        parent: new Int32Array(childStart.length - 1),
        childStart: Int32Array.from(childStart),
        nodeStart: Int32Array.from(nodeStart),
        path,
      });
    }
    this.levels = built;
    this.recountDevices(nodes);
  }

  recountDevices(nodes: NodeTable): void {
    this.totalDevices = 0;
    for (const slot of this.members) this.totalDevices += nodes.deviceCount[slot]!;
  }
}

/** Level of the lowest block that holds both positions; 0 for the same node. */
export function meetingLevel(partition: Partition, a: number, b: number): number {
  let level = 0;
  while (a !== b) {
    const { parent } = partition.levels[level]!;
    a = parent[a]!;
    b = parent[b]!;
    level++;
  }
  return level;
}

function samePrefix(a: readonly string[], b: readonly string[], length: number): boolean {
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function blockName(path: readonly string[], depth: number, nodes: NodeTable, slot: number): string {
  return path
    .slice(0, depth)
    .map((name) => (name.startsWith("\u0001") ? nodes.names.name(slot) : name))
    .filter((name) => name !== "")
    .join("/");
}
