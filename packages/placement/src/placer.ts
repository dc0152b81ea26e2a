import { ShapeCounts, type Shape } from "./counts.ts";
import { FreeIndex } from "./free-index.ts";
import type { Block } from "./gang.ts";
import { Levels } from "./levels.ts";
import { NodeTable, type Holding } from "./nodes.ts";
import { placeByGroups } from "./parallel-groups.ts";
import { Partition } from "./partition.ts";
import { memberCounts, type Request, type ResolvedRole, type ResolvedVariant } from "./request.ts";
import { Power } from "./power.ts";
import { SharedDevices } from "./shared-devices.ts";
import type { NodeInput, PoolInput } from "./types.ts";

/** Numbers kept in shape caches over all partitions; the least recently used go first. */
const CACHE_ENTRIES = 24_000_000;

/** Placements of single roles for one gang beyond the first of each. */
const ROLE_TRIES = 64;

export interface PlacedRole {
  role: ResolvedRole;
  partition: Partition;
  /** In rank order. */
  members: Holding[];
}

export interface Placement {
  variant: ResolvedVariant;
  roles: PlacedRole[];
}

/** One role's size on one partition, as quota sees it. */
export interface Charge {
  partition: Partition;
  shape: Shape;
  members: number;
}

/** Why a request could not be placed: no such hardware at all, more than the queue may use, or no room now. */
export type PlaceFailure = "no_pool" | "quota" | "capacity";

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

/** The cluster's nodes by partition, and where requests fit on them. */
export class Placer {
  readonly levels: Levels;
  readonly nodes = new NodeTable();
  readonly partitions: Partition[] = [];
  readonly pools = new Map<string, PoolInput>();
  readonly power = new Power(this.nodes, this.pools, this.partitions);
  /** Raised when partitions or pools change, for caches of what matches. */
  version = 0;
  /** Raised when something else than capacity opens places: a reservation or a window that ends. */
  epoch = 0;
  failure: PlaceFailure = "capacity";
  /** Whether quota ruled out any size or pool in the last attempt: then its failure is the queue's own. */
  quotaRefused = false;
  /** Slots on which nothing is placed that finds room elsewhere. */
  readonly #doubtful = new Set<number>();
  readonly #byKey = new Map<string, Partition>();
  readonly #counts = new Map<string, ShapeCounts>();
  readonly #free: FreeIndex[] = [];
  readonly #shared: SharedDevices[] = [];
  readonly #matching = new WeakMap<ResolvedRole, { version: number; partitions: Partition[] }>();
  readonly #partitionsFor = new WeakMap<Request, { version: number; partitions: Partition[] }>();
  #entries = 0;

  constructor(levels: Levels) {
    this.levels = levels;
  }

  putNode(input: NodeInput): void {
    const { nodes } = this;
    const known = nodes.names.find(input.id);
    const slot = known >= 0 ? known : nodes.add(input.id);
    const key = `${input.pool}\u0000${input.accelerator}`;
    const blocks = this.levels.list.map((level) => input.fabric?.[level.name] ?? (level.rung === undefined ? undefined : input.fabric?.[level.rung]));
    let partition = this.#byKey.get(key);
    if (partition === undefined) {
      partition = new Partition(this.partitions.length, input.pool, input.accelerator);
      this.partitions.push(partition);
      this.#byKey.set(key, partition);
      this.#free.push(new FreeIndex(partition));
      this.#shared.push(new SharedDevices(partition));
      this.version++;
    }
    if (known >= 0) {
      const before = this.partitions[nodes.partition[slot]!]!;
      if (before !== partition || !before.samePath(slot, blocks)) {
        before.remove(slot);
        partition.add(slot, blocks);
      }
    } else {
      partition.add(slot, blocks);
    }
    nodes.partition[slot] = partition.index;
    nodes.schedulable[slot] = input.schedulable ? 1 : 0;
    nodes.health[slot] = input.health ?? "";
    if (input.doubtful) this.#doubtful.add(slot);
    else this.#doubtful.delete(slot);
    nodes.setCapacity(slot, input.devices, input.cpuMillis, input.memoryBytes);
    partition.freed++;
  }

  removeNode(id: string): void {
    const slot = this.nodes.names.find(id);
    this.#doubtful.delete(slot);
    this.partitions[this.nodes.partition[slot]!]!.remove(slot);
    this.nodes.remove(id);
  }

  layout(): void {
    for (const partition of this.partitions) partition.layout(this.nodes, this.levels);
  }

  counts(partition: Partition, shape: Shape, ideal = false): ShapeCounts {
    const key = `${partition.index}|${ideal ? 1 : 0}|${shape.key}`;
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      counts = new ShapeCounts(shape, partition, ideal);
      this.#entries += partition.nodeAt.length * 2;
      for (const [oldest, old] of this.#counts) {
        if (this.#entries <= CACHE_ENTRIES) break;
        this.#entries -= old.partition.nodeAt.length * 2;
        this.#counts.delete(oldest);
      }
      this.#counts.set(key, counts);
    }
    counts.refresh(this.nodes);
    return counts;
  }

  /** Every partition that any variant of a request may use. */
  partitionsFor(request: Request): readonly Partition[] {
    let cached = this.#partitionsFor.get(request);
    if (cached === undefined || cached.version !== this.version) {
      const all = new Set(request.variants.flatMap((variant) => variant.roles.flatMap((role) => this.matching(variant, role))));
      cached = { version: this.version, partitions: [...all] };
      this.#partitionsFor.set(request, cached);
    }
    return cached.partitions;
  }

  /** A number that grows whenever room that the request might use becomes free. */
  freedFor(request: Request): number {
    let sum = this.version + this.epoch;
    for (const partition of this.partitionsFor(request)) sum += partition.freed;
    return sum;
  }

  /** Partitions on which a role of a variant may run, best first by the given preference. */
  matching(variant: ResolvedVariant, role: ResolvedRole): readonly Partition[] {
    let cached = this.#matching.get(role);
    if (cached === undefined || cached.version !== this.version) {
      cached = { version: this.version, partitions: this.#match(variant, role) };
      this.#matching.set(role, cached);
    }
    return cached.partitions;
  }

  #match(variant: ResolvedVariant, role: ResolvedRole): Partition[] {
    const accelerators = role.accelerators ?? variant.accelerators;
    const pools = role.pools ?? variant.pools;
    const found = this.partitions.filter(
      (partition) => (accelerators === null || accelerators.includes(partition.accelerator)) && (pools === null || pools.includes(partition.pool)),
    );
    const rank = (partition: Partition): (number | string)[] => {
      const pool = this.pools.get(partition.pool);
      const ownership = pool?.ownership ?? "owned";
      return [
        pools === null ? 0 : pools.indexOf(partition.pool),
        accelerators === null ? 0 : accelerators.indexOf(partition.accelerator),
        // A job without devices leaves nodes with devices to those that need them.
        role.shape.devices + role.shape.share === 0 && partition.totalDevices > 0 && partition.accelerator !== "cpu" ? 1 : 0,
        ownership === "owned" ? 0 : ownership === "leased" ? 1 : 2,
        pool?.price ?? 0,
        partition.pool,
        partition.accelerator,
      ];
    };
    const ranked = found.map((partition) => ({ partition, rank: rank(partition) }));
    ranked.sort((a, b) => {
      for (let i = 0; i < a.rank.length; i++) {
        if (a.rank[i] !== b.rank[i]) return a.rank[i]! < b.rank[i]! ? -1 : 1;
      }
      return 0;
    });
    return ranked.map((entry) => entry.partition);
  }

  /**
   * Finds room and takes it: variants in order, every pool of each. Null when it does not fit; `failure` then says
   * why, as the one closest to running.
   */
  place(request: Request, options: PlaceOptions = {}): Placement | null {
    this.failure = "no_pool";
    this.quotaRefused = false;
    const tries: { variant: ResolvedVariant; partition: Partition; cost: number }[] = [];
    for (const variant of request.variants) {
      for (const partition of this.matching(variant, leadingRole(variant))) {
        if (options.usable?.(partition) === false || (options.lead ?? partition) !== partition) continue;
        tries.push({ variant, partition, cost: options.cost?.(variant, partition) ?? 0 });
      }
    }
    if (options.cost !== undefined) tries.sort((a, b) => a.cost - b.cost);
    const avoid = new Set(options.avoid ?? []);
    for (const id of request.excludedNodes) {
      const slot = this.nodes.names.find(id);
      if (slot >= 0) avoid.add(slot);
    }
    if (this.#doubtful.size > 0) {
      const own = new Set(request.preferredNodes.map((id) => this.nodes.names.find(id)));
      const wary = new Set([...avoid, ...[...this.#doubtful].filter((slot) => !own.has(slot))]);
      for (const { variant, partition } of tries) {
        const placed = this.#placeVariant(request, variant, partition, wary, options);
        if (placed !== null) return placed;
      }
    }
    for (const { variant, partition } of tries) {
      const placed = this.#placeVariant(request, variant, partition, avoid, options);
      if (placed !== null) return placed;
    }
    return null;
  }

  /** Told of every submission, from which the expected mix of small jobs is learned. */
  observe(request: Request): void {
    for (const { roles } of request.variants) {
      if (roles.length > 1 || roles[0]!.max > 1) continue;
      for (const partition of this.partitionsFor(request)) this.#shared[partition.index]!.observe(roles[0]!.shape);
    }
  }

  /** False where a look at the number of free places shows that the request has no room. */
  couldFit(request: Request): boolean {
    return request.variants.some((variant) =>
      variant.roles.every((role) => this.matching(variant, role).some((partition) => this.counts(partition, role.shape).total >= role.min)),
    );
  }

  give(placement: Placement): void {
    for (const { members, partition } of placement.roles) {
      for (const member of members) this.nodes.give(member);
      partition.freed++;
      // Under a power budget, what one accelerator model of the pool gave back another may use.
      if (this.power.limited(partition.pool)) for (const other of this.partitions) if (other.pool === partition.pool) other.freed++;
    }
  }

  /** Takes a what-if back: nothing became free that was not free before. */
  untake(placement: Placement): void {
    for (const { members } of placement.roles) for (const member of members) this.nodes.give(member);
  }

  take(placement: Placement): void {
    for (const { members } of placement.roles) for (const member of members) this.nodes.take(member);
  }

  #placeVariant(request: Request, variant: ResolvedVariant, lead: Partition, avoid: ReadonlySet<number>, options: PlaceOptions): Placement | null {
    if (variant.roles.length === 1 || !request.withinRequired) {
      return this.#placeRoles(request, variant, lead, avoid, options, undefined);
    }
    // Several roles in one block: try the blocks that the first role could use.
    const { levels } = lead;
    for (let block = 0; block < levels[request.within]!.count; block++) {
      const placed = this.#placeRoles(request, variant, lead, avoid, options, { level: request.within, block });
      if (placed !== null) return placed;
    }
    return null;
  }

  /** Roles one after the other as listed; where that fails, those with larger members first. */
  #placeRoles(
    request: Request,
    variant: ResolvedVariant,
    lead: Partition,
    avoid: ReadonlySet<number>,
    options: PlaceOptions,
    inside: Block | undefined,
  ): Placement | null {
    const { roles } = variant;
    const placed = this.#placeInOrder(roles, request, variant, lead, avoid, options, inside);
    if (placed !== null || roles.length === 1) return placed === null ? null : { variant, roles: placed };
    const larger = [...roles].sort((a, b) => b.shape.devices - a.shape.devices);
    if (larger.every((role, i) => role.shape.devices === roles[i]!.shape.devices)) return null;
    const found = this.#placeInOrder(larger, request, variant, lead, avoid, options, inside);
    return found === null ? null : { variant, roles: found.sort((a, b) => roles.indexOf(a.role) - roles.indexOf(b.role)) };
  }

  /** Where a role finds no room, those before it go to their next pool, or take fewer members; so many times at most. */
  #placeInOrder(
    order: readonly ResolvedRole[],
    request: Request,
    variant: ResolvedVariant,
    lead: Partition,
    avoid: ReadonlySet<number>,
    options: PlaceOptions,
    inside: Block | undefined,
  ): PlacedRole[] | null {
    const leading = leadingRole(variant);
    const placed: PlacedRole[] = [];
    let tries = ROLE_TRIES + order.length;
    const placeFrom = (at: number): boolean => {
      const role = order[at];
      if (role === undefined) return true;
      const own = role !== leading && (role.accelerators !== null || role.pools !== null);
      const charges = placed.map((done) => ({ partition: done.partition, shape: done.role.shape, members: done.members.length }));
      for (const partition of own ? this.matching(variant, role) : [lead]) {
        const block = inside === undefined ? undefined : sameBlock(lead, partition, inside);
        if (block === null || options.usable?.(partition) === false) continue;
        for (let most = role.max; tries > 0; ) {
          tries--;
          const members = this.#placeRole(request, role, most, partition, avoid, options, charges, block);
          if (members === null) break;
          placed.push({ role, partition, members });
          if (placeFrom(at + 1)) return true;
          placed.pop();
          for (const member of members) this.nodes.give(member);
          if (members.length === role.min) break;
          most = role.min + Math.floor((members.length - role.min) / 2 / role.step) * role.step;
        }
      }
      return false;
    };
    return placeFrom(0) ? placed : null;
  }

  #placeRole(
    request: Request,
    role: ResolvedRole,
    most: number,
    partition: Partition,
    avoid: ReadonlySet<number>,
    options: PlaceOptions,
    charged: readonly Charge[],
    inside: Block | undefined,
  ): Holding[] | null {
    const counts = this.counts(partition, role.shape);
    for (const members of memberCounts(role)) {
      if (members > most) continue;
      if (options.allowed !== undefined && !options.allowed([...charged, { partition, shape: role.shape, members }])) {
        this.quotaRefused = true;
        if (this.failure === "no_pool") this.failure = "quota";
        continue;
      }
      this.failure = "capacity";
      if (counts.total < members || this.power.devicesLeft(partition.pool) < members * devicesEach(role.shape)) continue;
      const before = charged.reduce((sum, charge) => sum + charge.members, 0);
      const again = this.#sameNodes(request, role, counts, request.preferredNodes.slice(before, before + members), members, avoid, inside);
      if (again !== null) return this.takeAt(again, role.shape);
      if (members === 1 && inside === undefined && avoid.size === 0) {
        const chosen = this.#shared[partition.index]!.choose(this.nodes, role.shape);
        if (chosen !== null) return this.takeAt([chosen.slot], role.shape, chosen.device);
      }
      const slots =
        (members === 1 && inside === undefined ? this.#placeOne(partition, counts, role, avoid) : null) ??
        (members === 1 && inside === undefined && avoid.size === 0 ? null : this.#placeMany(request, role, counts, members, avoid, inside));
      if (slots !== null) return this.takeAt(slots, role.shape);
    }
    return null;
  }

  /** The preferred nodes in rank order, where all of them take their member and no constraint is broken. */
  #sameNodes(
    request: Request,
    role: ResolvedRole,
    counts: ShapeCounts,
    ids: readonly string[],
    members: number,
    avoid: ReadonlySet<number>,
    inside: Block | undefined,
  ): number[] | null {
    if (ids.length < members || members === 0 || inside !== undefined) return null;
    const { nodes } = this;
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

  #placeMany(
    request: Request,
    role: ResolvedRole,
    counts: ShapeCounts,
    members: number,
    avoid: ReadonlySet<number>,
    inside: Block | undefined,
  ): number[] | null {
    if (avoid.size > 0) counts.block(this.nodes, avoid);
    try {
      return placeByGroups(counts, this.nodes, role, {
        members,
        within: request.withinRequired ? request.within : this.levels.root,
        ...(inside === undefined ? {} : { inside }),
      });
    } finally {
      if (avoid.size > 0) counts.unblock();
    }
  }

  /** One member: the node with the fewest free devices that takes it; a fresh node only from the fullest blocks. */
  #placeOne(partition: Partition, counts: ShapeCounts, role: ResolvedRole, avoid: ReadonlySet<number>): number[] | null {
    const index = this.#free[partition.index]!;
    index.refresh(this.nodes);
    const perNode = counts.sums[0]!;
    if (role.shape.share > 0) {
      if (avoid.size > 0) return null;
      const best = this.#tightestShare(partition, counts, role.shape.share);
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

  #tightestShare(partition: Partition, counts: ShapeCounts, share: number): number {
    const { nodes } = this;
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

  /** Takes one member of the shape on each of the slots; its devices are chosen here, but for one that is given. */
  takeAt(slots: readonly number[], shape: Shape, device = -1): Holding[] {
    const { nodes } = this;
    const members: Holding[] = [];
    for (const node of slots) {
      let devices: number[] = [];
      if (shape.devices > 0) devices = nodes.chooseWhole(node, shape.devices);
      else if (shape.share > 0) devices = [device >= 0 ? device : nodes.chooseShare(node, shape.share)];
      const holding: Holding = {
        node,
        devices,
        share: shape.share > 0 ? shape.share : 1000,
        cpuMillis: shape.cpuMillis,
        memoryBytes: shape.memoryBytes,
      };
      nodes.take(holding);
      members.push(holding);
    }
    return members;
  }
}

/** The role whose pool is chosen first; all without a restriction of their own go there. */
export function leadingRole(variant: ResolvedVariant): ResolvedRole {
  return variant.roles.find((role) => role.accelerators === null && role.pools === null) ?? variant.roles[0]!;
}

/** Devices that one member keeps busy; a share of one may need a fresh one. */
export function devicesEach(shape: Shape): number {
  return shape.share > 0 ? 1 : shape.devices;
}

/** The block of another partition that is the same place in the fabric; null when it has none there. */
function sameBlock(from: Partition, to: Partition, block: Block): Block | null {
  if (from === to) return block;
  const path = from.levels[block.level]!.path[block.block]!;
  const found = to.levels[block.level]!.path.indexOf(path);
  return found < 0 ? null : { level: block.level, block: found };
}
