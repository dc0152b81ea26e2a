import type { NodeTable } from "./nodes.ts";
import type { Partition } from "./partition.ts";

/** Positions as bits, with one summary bit per word of 32 words, to find the first in a few steps. */
class BitSet {
  readonly words: Uint32Array;
  readonly summary: Uint32Array;

  constructor(size: number) {
    this.words = new Uint32Array(Math.ceil(size / 32) + 1);
    this.summary = new Uint32Array(Math.ceil(this.words.length / 32) + 1);
  }

  set(i: number): void {
    this.words[i >>> 5]! |= 1 << (i & 31);
    this.summary[i >>> 10]! |= 1 << ((i >>> 5) & 31);
  }

  clear(i: number): void {
    const word = i >>> 5;
    this.words[word]! &= ~(1 << (i & 31));
    if (this.words[word] === 0) this.summary[word >>> 5]! &= ~(1 << (word & 31));
  }

  /** The first position at or after `from`, or -1. */
  next(from: number): number {
    let word = from >>> 5;
    if (word >= this.words.length) return -1;
    const here = (this.words[word]! & (-1 << (from & 31))) >>> 0;
    if (here !== 0) return (word << 5) + lowestBit(here);
    word++;
    let group = word >>> 5;
    if (group >= this.summary.length) return -1;
    let bits = (this.summary[group]! & ((word & 31) === 0 ? -1 : -1 << (word & 31))) >>> 0;
    while (bits === 0) {
      if (++group >= this.summary.length) return -1;
      bits = this.summary[group]!;
    }
    word = (group << 5) + lowestBit(bits);
    return (word << 5) + lowestBit(this.words[word]!);
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Nodes of one partition by number of free devices, kept up to date from the change log. */
export class FreeIndex {
  readonly partition: Partition;
  #buckets: BitSet[] = [];
  #sizes: number[] = [];
  #bucketOf = new Int16Array(0);
  #seen = -1;
  #layout = -1;

  constructor(partition: Partition) {
    this.partition = partition;
  }

  /** The most devices that are free on one node, at least. */
  get highest(): number {
    return this.#buckets.length - 1;
  }

  size(free: number): number {
    return this.#sizes[free] ?? 0;
  }

  /** First node position at or after `from` with exactly `free` free devices, or -1. */
  next(free: number, from: number): number {
    return this.#sizes[free] === 0 ? -1 : this.#buckets[free]!.next(from);
  }

  refresh(nodes: NodeTable): void {
    const { partition } = this;
    if (this.#layout === partition.layoutVersion) {
      if (this.#seen === nodes.changes) return;
      const replayed = nodes.changedSince(this.#seen, (slot) => {
        if (nodes.partition[slot] === partition.index) this.#put(nodes, slot);
      });
      if (replayed) {
        this.#seen = nodes.changes;
        return;
      }
    }
    const n = partition.nodeAt.length;
    this.#buckets = [];
    this.#sizes = [];
    this.#bucketOf = new Int16Array(n).fill(-1);
    for (const slot of partition.nodeAt) this.#put(nodes, slot);
    this.#layout = partition.layoutVersion;
    this.#seen = nodes.changes;
  }

  #put(nodes: NodeTable, slot: number): void {
    const position = nodes.position[slot]!;
    const now = nodes.schedulable[slot] === 1 ? nodes.freeDevices[slot]! : -1;
    const before = this.#bucketOf[position]!;
    if (now === before) return;
    if (before >= 0) {
      this.#buckets[before]!.clear(position);
      this.#sizes[before]!--;
    }
    if (now >= 0) {
      while (this.#buckets.length <= now) {
        this.#buckets.push(new BitSet(this.partition.nodeAt.length));
        this.#sizes.push(0);
      }
      this.#buckets[now]!.set(position);
      this.#sizes[now]!++;
    }
    this.#bucketOf[position] = now;
  }
}
