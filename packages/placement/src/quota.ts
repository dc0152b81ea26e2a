import { WHOLE } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import type { Charge } from "./placement.ts";
import type { QueueInput, QuotaInput, QuotaResource } from "./queue-input.ts";

/** One thing that quota is counted in: a resource on all hardware, or on one accelerator model or pool. */
export interface Dimension {
  resource: QuotaResource;
  accelerator: string | undefined;
  pool: string | undefined;
}

/** One queue of the tree. Amounts are indexed by dimension. */
export class QueueNode {
  readonly id: string;
  input: QueueInput;
  parent: QueueNode | null = null;
  readonly children = new Set<QueueNode>();
  weight = 1;
  stated: (QuotaInput | undefined)[] = [];
  /** Guaranteed to the subtree, kept parts of its children included. */
  entitled: number[] = [];
  /** Guaranteed to the subtree, without what its children keep to themselves. */
  nominal: number[] = [];
  /** Part of nominal that is never lent. */
  kept: number[] = [];
  /** What the subtree holds. */
  held: number[] = [];
  /** What of it is charged here after lower queues used what they keep to themselves. */
  usage: number[] = [];
  /** Decayed device-milliseconds, for the fair order. */
  past = 0;
  pastAt = 0;
  height = 0;
  /** Steps from the root. */
  depth = 0;
  /** Its share in what is counted, kept until what it holds changes; below 0: to be found anew. */
  knownShare = -1;

  constructor(input: QueueInput) {
    this.id = input.id;
    this.input = input;
  }
}

/** What a placement uses, as amounts by dimension. */
export type Usage = readonly { dimension: number; amount: number }[];

/** A use by a queue that begins or ends. */
export interface Change {
  of: QueueNode;
  usage: Usage;
  ends: boolean;
}

/**
 * The tree of queues and what each may use. Nominal quota of a parent covers its subtree. What is idle is lent
 * upwards up to the lending limit, and borrowed from above up to the borrowing limit.
 */
export class QuotaTree {
  readonly dimensions: Dimension[] = [];
  readonly queues = new Map<string, QueueNode>();
  readonly root = new QueueNode({ id: "" });
  unassigned: "borrowable" | "closed" = "borrowable";
  /** Raised when quota becomes free or changes. */
  freed = 0;
  /** Raised at every change of usage, for caches of shares. */
  version = 0;
  /** Raised when capacities, or what is counted, may have changed. */
  structure = 0;
  readonly #dimensionKeys = new Map<string, number>();
  #byPartition: { dimension: number; resource: QuotaResource }[][] = [];
  #capacity: number[] = [];
  #anyNominal: boolean[] = [];
  #counted: number[] = [];
  #stale = true;

  put(input: QueueInput): QueueNode {
    if (input.id === "") throw new Error("queue.id: must not be empty");
    let queue = this.queues.get(input.id);
    const parent = input.parent === undefined ? this.root : this.queues.get(input.parent);
    if (parent === undefined) throw new Error(`queue ${input.id}: parent "${input.parent}" is not known; put it first`);
    for (let up: QueueNode | null = parent; up !== null; up = up.parent) {
      if (up === queue) throw new Error(`queue ${input.id}: cannot be below itself`);
    }
    if (!((input.weight ?? 1) > 0)) throw new Error(`queue ${input.id}: weight must be above 0`);
    if (queue === undefined) {
      queue = new QueueNode(input);
      this.queues.set(input.id, queue);
    } else if (queue.parent !== parent) {
      queue.parent!.children.delete(queue);
      this.#shift(queue, -1);
    }
    queue.input = input;
    queue.weight = input.weight ?? 1;
    if (queue.parent !== parent) {
      const moved = queue.parent !== null;
      queue.parent = parent;
      parent.children.add(queue);
      if (moved) this.#shift(queue, 1);
    }
    queue.stated = [];
    for (const quota of input.quotas ?? []) queue.stated[this.dimension(quota)] = quota;
    this.#stale = true;
    this.freed++;
    return queue;
  }

  remove(id: string): void {
    const queue = this.queues.get(id);
    if (queue === undefined) throw new Error(`queue ${id}: not known`);
    if (queue.children.size > 0) throw new Error(`queue ${id}: still has queues below it`);
    queue.parent!.children.delete(queue);
    this.queues.delete(id);
    this.#stale = true;
    this.freed++;
  }

  dimension(of: { resource: QuotaResource; accelerator?: string | undefined; pool?: string | undefined }): number {
    const key = `${of.resource}\u0000${of.accelerator ?? ""}\u0000${of.pool ?? ""}`;
    let index = this.#dimensionKeys.get(key);
    if (index === undefined) {
      index = this.dimensions.length;
      this.#dimensionKeys.set(key, index);
      this.dimensions.push({ resource: of.resource, accelerator: of.accelerator, pool: of.pool });
      this.#stale = true;
    }
    return index;
  }

  /** Capacity per dimension and quotas of inner queues follow what was put. */
  settle(partitions: readonly Partition[], cpuOf: (p: Partition) => number, memoryOf: (p: Partition) => number, changed: boolean): void {
    if (!this.#stale && !changed) return;
    for (const p of partitions) this.dimension({ resource: "accelerators", accelerator: p.accelerator });
    this.dimension({ resource: "cpus" });
    const count = this.dimensions.length;
    this.#capacity = Array.from({ length: count }, () => 0);
    this.#byPartition = partitions.map((p) => {
      const matched: { dimension: number; resource: QuotaResource }[] = [];
      for (const [d, dimension] of this.dimensions.entries()) {
        if (dimension.accelerator !== undefined && dimension.accelerator !== p.accelerator) continue;
        if (dimension.pool !== undefined && dimension.pool !== p.pool) continue;
        matched.push({ dimension: d, resource: dimension.resource });
        const { resource } = dimension;
        this.#capacity[d]! += resource === "accelerators" ? p.totalDevices * WHOLE : resource === "cpus" ? cpuOf(p) : memoryOf(p);
      }
      return matched;
    });
    this.#anyNominal = Array.from({ length: count }, () => false);
    this.#build(this.root, count);
    for (let d = 0; d < count; d++) {
      // Where nothing is kept from others, the nodes themselves are the bound.
      const keeps = this.root.entitled[d]! > this.root.nominal[d]!;
      if (!this.#anyNominal[d]) this.root.nominal[d] = Infinity;
      else if (this.unassigned === "borrowable") {
        this.root.nominal[d] = keeps ? this.root.nominal[d]! + Math.max(0, this.#capacity[d]! - this.root.entitled[d]!) : Infinity;
      }
    }
    const all = this.dimensions.map((_, d) => d);
    const guaranteed = all.filter((d) => this.#anyNominal[d]);
    this.#counted = guaranteed.length > 0 ? guaranteed : all.filter((d) => this.#capacity[d]! > 0);
    this.#stale = false;
    this.freed++;
    this.version++;
    this.structure++;
  }

  invalidate(): void {
    this.#stale = true;
  }

  capacity(dimension: number): number {
    return this.#capacity[dimension] ?? 0;
  }

  usageOf(charges: readonly Charge[]): Usage {
    const usage: { dimension: number; amount: number }[] = [];
    for (const { partition, shape, members } of charges) {
      for (const { dimension, resource } of this.#byPartition[partition.index] ?? []) {
        const each = resource === "accelerators" ? shape.devices * WHOLE + shape.share : resource === "cpus" ? shape.cpuMillis : shape.memoryBytes;
        if (each <= 0) continue;
        const known = usage.find((one) => one.dimension === dimension);
        if (known === undefined) usage.push({ dimension, amount: each * members });
        else known.amount += each * members;
      }
    }
    return usage;
  }

  /** Whether the queue may use this much more now. */
  allows(queue: QueueNode, usage: Usage): boolean {
    return usage.every(({ dimension, amount }) => amount <= this.left(queue, dimension));
  }

  /** Whether the queue could ever use this much, were nothing in use. */
  couldEverAllow(queue: QueueNode, usage: Usage): boolean {
    return usage.every(({ dimension, amount }) => amount <= this.most(queue, dimension));
  }

  /** What a queue may use more of a dimension now, also by the limits of those above it. */
  left(queue: QueueNode, dimension: number): number {
    let left = this.available(queue, dimension);
    for (let up: QueueNode | null = queue; up !== null; up = up.parent) {
      const limit = up.stated[dimension]?.limit;
      if (limit !== undefined) left = Math.min(left, limit - (up.held[dimension] ?? 0));
    }
    return left;
  }

  /** What a queue could use of a dimension were nothing in use. */
  most(queue: QueueNode, dimension: number): number {
    let most = this.#mostOf(queue, dimension);
    for (let up: QueueNode | null = queue; up !== null; up = up.parent) most = Math.min(most, up.stated[dimension]?.limit ?? Infinity);
    return most;
  }

  /** What is left for a queue: its own, and what it may borrow from above. */
  available(queue: QueueNode, dimension: number): number {
    const nominal = queue.nominal[dimension] ?? 0;
    const usage = queue.usage[dimension] ?? 0;
    if (queue.parent === null) return nominal - usage;
    const kept = queue.kept[dimension] ?? 0;
    let above = this.available(queue.parent, dimension);
    const borrowLimit = queue.stated[dimension]?.borrowLimit;
    if (borrowLimit !== undefined) above = Math.min(above, nominal - kept - Math.max(0, usage - kept) + borrowLimit);
    return Math.max(0, kept - usage) + above;
  }

  charge(queue: QueueNode, usage: Usage): void {
    this.version++;
    forgetShares(queue);
    for (const { dimension, amount } of usage) {
      for (let up: QueueNode | null = queue; up !== null; up = up.parent) up.held[dimension] = (up.held[dimension] ?? 0) + amount;
      let rest = amount;
      for (let up: QueueNode | null = queue; up !== null && rest > 0; up = up.parent) {
        const own = Math.max(0, (up.kept[dimension] ?? 0) - (up.usage[dimension] ?? 0));
        up.usage[dimension] = (up.usage[dimension] ?? 0) + rest;
        rest = Math.max(0, rest - own);
      }
    }
  }

  refund(queue: QueueNode, usage: Usage): void {
    this.version++;
    forgetShares(queue);
    this.freed++;
    for (const { dimension, amount } of usage) {
      for (let up: QueueNode | null = queue; up !== null; up = up.parent) up.held[dimension] = (up.held[dimension] ?? 0) - amount;
      let rest = amount;
      for (let up: QueueNode | null = queue; up !== null && rest > 0; up = up.parent) {
        const aboveKept = Math.max(0, (up.usage[dimension] ?? 0) - (up.kept[dimension] ?? 0));
        up.usage[dimension] = (up.usage[dimension] ?? 0) - rest;
        rest = Math.min(rest, aboveKept);
      }
    }
  }

  /** What shares are measured in: the dimensions that somebody is guaranteed some of, else all. */
  get counted(): readonly number[] {
    return this.#counted;
  }

  /** Those of a use, or all of it where it touches none. */
  countedOf(usage: Usage): readonly number[] {
    let known = 0;
    for (const { dimension } of usage) if (this.#counted.includes(dimension)) known++;
    if (known === this.#counted.length) return this.#counted;
    const counted = usage.map(({ dimension }) => dimension).filter((d) => this.#counted.includes(d));
    return counted.length > 0 ? counted : usage.map(({ dimension }) => dimension);
  }

  /**
   * How far above its nominal a queue is, as the largest part of the cluster over its weight; or would be with this use of a queue
   * in it begun or ended. What queues below keep to themselves is no part of it.
   */
  share(queue: QueueNode, within: readonly number[] = this.#counted, change: Change | null = null): number {
    if (change !== null || within !== this.#counted) return this.#shareOf(queue, within, change);
    if (queue.knownShare < 0) queue.knownShare = this.#shareOf(queue, within, null);
    return queue.knownShare;
  }

  /** Height of the smallest subtree whose own nominal covers the use: 0 when the queue need not borrow. */
  borrowHeight(queue: QueueNode, usage: Usage): number {
    let up = queue;
    while (up.parent !== null && !this.#covers(up, queue, usage)) up = up.parent;
    return up.height;
  }

  /** Whether a use by a queue would be within what is guaranteed to one above it, once another use below that has ended. */
  isOwnOnce(above: QueueNode, queue: QueueNode, usage: Usage, ended: { of: QueueNode; usage: Usage }): boolean {
    let isGuaranteed = false;
    for (const { dimension, amount } of usage) {
      if (this.#anyNominal[dimension] !== true) continue;
      const gone = ended.usage.find((one) => one.dimension === dimension)?.amount ?? 0;
      const used = (above.usage[dimension] ?? 0) + this.#reaching(above, ended.of, dimension, -gone);
      if (used + this.#reaching(above, queue, dimension, amount) > (above.nominal[dimension] ?? 0)) return false;
      isGuaranteed = true;
    }
    return isGuaranteed;
  }

  /** Whether the use by a queue keeps within the nominal of one above it. */
  #covers(above: QueueNode, queue: QueueNode, usage: Usage): boolean {
    for (const { dimension, amount } of usage) {
      // What nobody is guaranteed is not borrowed from anyone.
      if (this.#anyNominal[dimension] !== true) continue;
      if ((above.usage[dimension] ?? 0) + this.#reaching(above, queue, dimension, amount) > (above.nominal[dimension] ?? 0)) return false;
    }
    return true;
  }

  /** What of a use by a queue is charged to one above it, after what those between keep to themselves. */
  #reaching(above: QueueNode, queue: QueueNode, dimension: number, amount: number): number {
    let rest = amount;
    for (let up = queue; up !== above; up = up.parent!) {
      const kept = (up.kept[dimension] ?? 0) - (up.usage[dimension] ?? 0);
      rest = amount > 0 ? Math.max(0, rest - Math.max(0, kept)) : Math.min(0, Math.max(rest, Math.min(0, kept)));
    }
    return rest;
  }

  /** As a share, and below 0 where the queue uses less than its own. */
  excess(queue: QueueNode, within: readonly number[], change: Change | null = null): number {
    return this.#shareOf(queue, within, change, -Infinity);
  }

  #shareOf(queue: QueueNode, within: readonly number[], change: Change | null, least = 0): number {
    let most = least;
    for (const d of within) {
      // Of all there is to share: where nothing beyond the quotas may be used, that is their sum.
      const closed = this.unassigned === "closed" && this.#anyNominal[d] === true;
      const capacity = Math.max(closed ? this.root.entitled[d]! : this.#capacity[d]!, 1);
      let above = (queue.usage[d] ?? 0) - (queue.nominal[d] ?? 0);
      if (change !== null) {
        for (const { dimension, amount } of change.usage) {
          if (dimension === d) above += this.#reaching(queue, change.of, d, change.ends ? -amount : amount);
        }
      }
      if (above > 0 || least < 0) most = Math.max(most, above / capacity);
    }
    return most / queue.weight;
  }

  #mostOf(queue: QueueNode, dimension: number): number {
    const nominal = queue.nominal[dimension] ?? 0;
    if (queue.parent === null) return nominal;
    const kept = queue.kept[dimension] ?? 0;
    let above = this.#mostOf(queue.parent, dimension);
    const borrowLimit = queue.stated[dimension]?.borrowLimit;
    if (borrowLimit !== undefined) above = Math.min(above, nominal - kept + borrowLimit);
    return kept + above;
  }

  #build(queue: QueueNode, count: number): void {
    queue.height = 0;
    queue.depth = queue.parent === null ? 0 : queue.parent.depth + 1;
    queue.knownShare = -1;
    for (const child of queue.children) {
      this.#build(child, count);
      queue.height = Math.max(queue.height, child.height + 1);
    }
    for (let d = 0; d < count; d++) {
      const stated = queue.stated[d];
      let inside = 0;
      let lent = 0;
      let usage = queue.held[d] ?? 0;
      for (const child of queue.children) {
        inside += child.entitled[d]!;
        lent += child.nominal[d]! - child.kept[d]!;
        usage += Math.max(0, child.usage[d]! - child.kept[d]!) - child.held[d]!;
      }
      queue.entitled[d] = Math.max(inside, stated?.nominal ?? 0);
      if (stated?.nominal !== undefined) this.#anyNominal[d] = true;
      queue.nominal[d] = lent + Math.max(0, (stated?.nominal ?? 0) - inside);
      queue.kept[d] = stated?.lendLimit === undefined ? 0 : Math.max(0, queue.nominal[d]! - stated.lendLimit);
      queue.held[d] = queue.held[d] ?? 0;
      queue.usage[d] = usage;
    }
  }

  /** What a queue holds is counted in all queues above it: takes it out there or adds it. */
  #shift(queue: QueueNode, sign: number): void {
    for (let up = queue.parent; up !== null; up = up.parent) {
      for (let d = 0; d < queue.held.length; d++) up.held[d] = (up.held[d] ?? 0) + sign * (queue.held[d] ?? 0);
    }
  }
}

/** What a queue holds changes, and so its share and those of all above it. */
function forgetShares(queue: QueueNode): void {
  for (let up: QueueNode | null = queue; up !== null; up = up.parent) up.knownShare = -1;
}
