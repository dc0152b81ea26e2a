import { WHOLE, type NodeTable } from "./nodes.ts";
import type { Partition } from "./partition.ts";

/** Stands for "any number" on one node; small enough that sums over a million nodes stay whole 32-bit numbers. */
const UNBOUNDED = 1 << 10;

/** What one member asks of one node. */
export interface Shape {
  key: string;
  /** Whole devices, or 0. */
  devices: number;
  /** Thousandths of one device, or 0. */
  share: number;
  cpuMillis: number;
  memoryBytes: number;
  /** At most one member on a node. */
  distinct: boolean;
}

export function makeShape(ask: Omit<Shape, "key">): Shape {
  return { ...ask, key: `${ask.devices}/${ask.share}/${ask.cpuMillis}/${ask.memoryBytes}/${ask.distinct ? 1 : 0}` };
}

/** How many members of a shape one node could take, were everything on it free or as it is now. */
export function fitsOnNode(nodes: NodeTable, slot: number, shape: Shape, empty = false): number {
  let fits = shape.distinct ? 1 : UNBOUNDED;
  if (shape.devices > 0) {
    const free = empty ? nodes.deviceCount[slot]! : nodes.freeDevices[slot]!;
    if (free < shape.devices) return 0;
    fits = Math.min(fits, Math.floor(free / shape.devices));
  } else if (shape.share > 0) {
    const start = nodes.deviceStart[slot]!;
    let room = 0;
    for (let d = 0; d < nodes.deviceCount[slot]!; d++) {
      room += Math.floor((empty ? WHOLE : Math.max(0, WHOLE - nodes.held[start + d]!)) / shape.share);
    }
    if (room === 0) return 0;
    fits = Math.min(fits, room);
  }
  if (shape.cpuMillis > 0) {
    fits = Math.min(fits, Math.floor((empty ? nodes.cpu[slot]! : nodes.cpuFree[slot]!) / shape.cpuMillis));
  }
  if (shape.memoryBytes > 0) {
    fits = Math.min(fits, Math.floor((empty ? nodes.memory[slot]! : nodes.memoryFree[slot]!) / shape.memoryBytes));
  }
  return fits < 0 ? 0 : fits;
}

/**
 * For one shape in one partition: members that fit per node and per block of every level. Brought up to date from
 * the change log, so that a look costs what changed since the last one.
 */
export class ShapeCounts {
  readonly shape: Shape;
  readonly partition: Partition;
  /** Counts every registered node as healthy and empty: what the hardware could ever take. */
  readonly ideal: boolean;
  /** By level: members that fit per block; level 0 is per node position. */
  sums: Int32Array[] = [];
  #seen = -1;
  #layout = -1;
  /** What `block` and `unbar` have added, by position. */
  readonly #changed = new Map<number, number>();

  constructor(shape: Shape, partition: Partition, ideal = false) {
    this.shape = shape;
    this.partition = partition;
    this.ideal = ideal;
  }

  get total(): number {
    return this.sums[this.sums.length - 1]![0] ?? 0;
  }

  refresh(nodes: NodeTable): void {
    const { partition } = this;
    if (this.#layout === partition.layoutVersion) {
      if (this.#seen === nodes.changes) return;
      const replayed = nodes.changedSince(this.#seen, (slot) => {
        if (nodes.partition[slot] === partition.index) this.#update(nodes, slot);
      });
      if (replayed) {
        this.#seen = nodes.changes;
        return;
      }
    }
    this.#countAll(nodes);
    this.#layout = partition.layoutVersion;
    this.#seen = nodes.changes;
  }

  /** Until `unblock`, these nodes take nothing. */
  block(nodes: NodeTable, slots: Iterable<number>): void {
    for (const slot of slots) {
      if (nodes.partition[slot] !== this.partition.index) continue;
      const position = nodes.position[slot]!;
      const count = this.sums[0]![position]!;
      if (count > 0) this.#change(position, -count);
    }
  }

  /** Until `unblock`, these nodes take members though they are out of service. */
  unbar(nodes: NodeTable, slots: Iterable<number>): void {
    for (const slot of slots) {
      const position = nodes.position[slot]!;
      const count = fitsOnNode(nodes, slot, this.shape) - this.sums[0]![position]!;
      if (count > 0) this.#change(position, count);
    }
  }

  unblock(): void {
    for (const [position, count] of this.#changed) this.#add(position, -count);
    this.#changed.clear();
  }

  #change(position: number, by: number): void {
    this.#changed.set(position, (this.#changed.get(position) ?? 0) + by);
    this.#add(position, by);
  }

  #update(nodes: NodeTable, slot: number): void {
    const position = nodes.position[slot]!;
    const now = this.#fits(nodes, slot);
    const before = this.sums[0]![position]!;
    if (now !== before) this.#add(position, now - before);
  }

  #fits(nodes: NodeTable, slot: number): number {
    return this.ideal || nodes.schedulable[slot] === 1 ? fitsOnNode(nodes, slot, this.shape, this.ideal) : 0;
  }

  #add(position: number, delta: number): void {
    let block = position;
    const { levels } = this.partition;
    for (let level = 0; level < levels.length; level++) {
      this.sums[level]![block]! += delta;
      block = levels[level]!.parent[block]!;
    }
  }

  #countAll(nodes: NodeTable): void {
    const { levels, nodeAt } = this.partition;
    if (this.#layout !== this.partition.layoutVersion) this.sums = levels.map((level) => new Int32Array(level.count));
    for (let level = 1; level < levels.length; level++) this.sums[level]!.fill(0);
    const perNode = this.sums[0]!;
    for (let position = 0; position < nodeAt.length; position++) {
      const slot = nodeAt[position]!;
      perNode[position] = this.#fits(nodes, slot);
    }
    for (let level = 0; level + 1 < levels.length; level++) {
      const from = this.sums[level]!;
      const to = this.sums[level + 1]!;
      const { parent } = levels[level]!;
      for (let block = 0; block < from.length; block++) to[parent[block]!]! += from[block]!;
    }
  }
}

/** Devices that one member keeps busy; a share of one may need a fresh one. */
export function devicesEach(shape: Shape): number {
  return shape.share > 0 ? 1 : shape.devices;
}
