import { Names } from "./names.ts";

export const WHOLE = 1000;

/** How many of the newest changes are kept; a cache that is further behind counts everything again. */
const LOG_SIZE = 1 << 16;

/** What one member holds on one node. */
export interface Holding {
  node: number;
  devices: readonly number[];
  /** Thousandths held of each device. */
  share: number;
  cpuMillis: number;
  memoryBytes: number;
}

/**
 * All nodes as flat arrays indexed by slot. Every change of free capacity is noted in a log, so that caches follow
 * what changed instead of looking at every node.
 */
export class NodeTable {
  readonly names = new Names();
  partition = new Int32Array(0);
  /** Position within its partition's layout. */
  position = new Int32Array(0);
  deviceStart = new Int32Array(0);
  deviceCount = new Int32Array(0);
  /** Entries of `held` set aside for the slot, so that a slot used again takes no new ones. */
  deviceRoom = new Int32Array(0);
  /** Devices of which nothing is held. */
  freeDevices = new Int32Array(0);
  cpu = new Float64Array(0);
  cpuFree = new Float64Array(0);
  memory = new Float64Array(0);
  memoryFree = new Float64Array(0);
  schedulable = new Uint8Array(0);
  /** Members of running jobs on it. */
  members = new Int32Array(0);
  /** Thousandths held per device; node's devices are at `deviceStart`. */
  held = new Uint16Array(0);
  health: string[] = [];

  #deviceEnd = 0;
  readonly #log = new Int32Array(LOG_SIZE);
  /** Number of changes ever noted. */
  changes = 0;

  /** Makes a slot for a new node, without capacity. */
  add(id: string): number {
    const slot = this.names.intern(id);
    if (slot >= this.partition.length) this.#growTo(slot + 1);
    this.deviceCount[slot] = 0;
    this.members[slot] = 0;
    this.cpu[slot] = this.cpuFree[slot] = 0;
    this.memory[slot] = this.memoryFree[slot] = 0;
    this.freeDevices[slot] = 0;
    this.schedulable[slot] = 0;
    this.health[slot] = "";
    return slot;
  }

  remove(id: string): void {
    const slot = this.names.find(id);
    this.schedulable[slot] = 0;
    this.touch(slot);
    this.names.remove(id);
  }

  /** Sets what the node has; what is held of it stays held. */
  setCapacity(slot: number, devices: number, cpuMillis: number, memoryBytes: number): void {
    const before = this.deviceCount[slot]!;
    if (devices !== before) {
      const inPlace = devices <= this.deviceRoom[slot]!;
      const start = inPlace ? this.deviceStart[slot]! : this.#deviceEnd;
      if (!inPlace) {
        this.#deviceEnd += devices;
        this.deviceRoom[slot] = devices;
      }
      if (this.#deviceEnd > this.held.length) {
        const wider = new Uint16Array(Math.max(this.#deviceEnd, this.held.length * 2, 1024));
        wider.set(this.held);
        this.held = wider;
      }
      const from = this.deviceStart[slot]!;
      for (let d = 0; d < devices; d++) this.held[start + d] = d < before ? this.held[from + d]! : 0;
      this.deviceStart[slot] = start;
      this.deviceCount[slot] = devices;
    }
    this.cpuFree[slot] = this.cpuFree[slot]! + cpuMillis - this.cpu[slot]!;
    this.cpu[slot] = cpuMillis;
    this.memoryFree[slot] = this.memoryFree[slot]! + memoryBytes - this.memory[slot]!;
    this.memory[slot] = memoryBytes;
    this.recount(slot);
  }

  recount(slot: number): void {
    const start = this.deviceStart[slot]!;
    const end = start + this.deviceCount[slot]!;
    let free = 0;
    for (let d = start; d < end; d++) if (this.held[d] === 0) free++;
    this.freeDevices[slot] = free;
    this.touch(slot);
  }

  /** Notes that the node's free capacity changed. */
  touch(slot: number): void {
    this.#log[this.changes & (LOG_SIZE - 1)] = slot;
    this.changes++;
  }

  /** Slots changed since `seen` changes, with repeats; null when the log no longer reaches back that far. */
  changedSince(seen: number, each: (slot: number) => void): boolean {
    if (this.changes - seen > LOG_SIZE) return false;
    for (let i = seen; i < this.changes; i++) each(this.#log[i & (LOG_SIZE - 1)]!);
    return true;
  }

  take(h: Holding): void {
    const start = this.deviceStart[h.node]!;
    for (const d of h.devices) {
      const before = this.held[start + d]!;
      if (before === 0) this.freeDevices[h.node]!--;
      this.held[start + d] = before + h.share;
    }
    this.cpuFree[h.node]! -= h.cpuMillis;
    this.memoryFree[h.node]! -= h.memoryBytes;
    this.members[h.node]!++;
    this.touch(h.node);
  }

  give(h: Holding): void {
    const start = this.deviceStart[h.node]!;
    for (const d of h.devices) {
      const after = this.held[start + d]! - h.share;
      this.held[start + d] = after;
      if (after === 0) this.freeDevices[h.node]!++;
    }
    this.cpuFree[h.node]! += h.cpuMillis;
    this.memoryFree[h.node]! += h.memoryBytes;
    this.members[h.node]!--;
    this.touch(h.node);
  }

  /** Whether exactly this could be held now, on top of what is. */
  fits(h: Holding): boolean {
    if (this.cpuFree[h.node]! < h.cpuMillis || this.memoryFree[h.node]! < h.memoryBytes) return false;
    const start = this.deviceStart[h.node]!;
    for (const d of h.devices) if (this.held[start + d]! + h.share > WHOLE) return false;
    return true;
  }

  /**
   * Device indices for `count` whole devices: an aligned run where one is free (devices that share a switch or a
   * socket are neighbours), else the lowest free ones.
   */
  chooseWhole(slot: number, count: number): number[] {
    const start = this.deviceStart[slot]!;
    const total = this.deviceCount[slot]!;
    const chosen: number[] = [];
    if (count > 1 && count < this.freeDevices[slot]!) {
      for (let from = 0; from + count <= total; from += count) {
        let free = 0;
        while (free < count && this.held[start + from + free] === 0) free++;
        if (free === count) {
          for (let d = 0; d < count; d++) chosen.push(from + d);
          return chosen;
        }
      }
    }
    for (let d = 0; d < total && chosen.length < count; d++) if (this.held[start + d] === 0) chosen.push(d);
    return chosen;
  }

  /** The device with the least room that still takes `share`; -1 when none does. */
  chooseShare(slot: number, share: number): number {
    const start = this.deviceStart[slot]!;
    let best = -1;
    let bestHeld = -1;
    for (let d = 0; d < this.deviceCount[slot]!; d++) {
      const held = this.held[start + d]!;
      if (held + share <= WHOLE && held > bestHeld) {
        best = d;
        bestHeld = held;
      }
    }
    return best;
  }

  #growTo(size: number): void {
    const length = Math.max(size, this.partition.length * 2, 64);
    const ints = (old: Int32Array): Int32Array<ArrayBuffer> => {
      const wider = new Int32Array(length);
      wider.set(old);
      return wider;
    };
    const floats = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const wider = new Float64Array(length);
      wider.set(old);
      return wider;
    };
    this.partition = ints(this.partition);
    this.position = ints(this.position);
    this.deviceStart = ints(this.deviceStart);
    this.deviceCount = ints(this.deviceCount);
    this.deviceRoom = ints(this.deviceRoom);
    this.freeDevices = ints(this.freeDevices);
    this.members = ints(this.members);
    this.cpu = floats(this.cpu);
    this.cpuFree = floats(this.cpuFree);
    this.memory = floats(this.memory);
    this.memoryFree = floats(this.memoryFree);
    const flags = new Uint8Array(length);
    flags.set(this.schedulable);
    this.schedulable = flags;
  }
}
