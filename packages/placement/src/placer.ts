import type { NodeInput, PoolInput } from "./cluster-input.ts";
import { ShapeCounts, type Shape } from "./counts.ts";
import { FreeIndex } from "./free-index.ts";
import { Levels } from "./levels.ts";
import { NodeTable, type Holding } from "./nodes.ts";
import { Partition } from "./partition.ts";
import type { Charge, Placement } from "./placement.ts";
import { Power } from "./power.ts";
import { choosesItself, type Request, type ResolvedRole, type ResolvedVariant } from "./request.ts";
import { SharedDevices } from "./shared-devices.ts";

/** Numbers kept in shape caches over all partitions; the least recently used go first. */
const CACHE_ENTRIES = 24_000_000;

/** Why a request could not be placed: no such hardware at all, more than the queue may use, or no room now. */
export type PlaceFailure = "no_pool" | "quota" | "capacity";

/** The cluster's nodes by partition, and where requests fit on them. */
export class Placer {
  readonly levels: Levels;
  readonly nodes = new NodeTable();
  readonly partitions: Partition[] = [];
  readonly pools: Map<string, PoolInput>;
  readonly power: Power;
  /** Raised when partitions or pools change, for caches of what matches. */
  version = 0;
  /** Raised when something else than capacity opens places: a reservation or a window that ends. */
  epoch = 0;
  failure: PlaceFailure = "capacity";
  /** Whether quota ruled out any size or pool in the last attempt: then its failure is the queue's own. */
  quotaRefused = false;
  /** Slots on which nothing is placed that finds room elsewhere. */
  readonly doubtful = new Set<number>();
  readonly #byKey = new Map<string, Partition>();
  readonly #counts = new Map<string, ShapeCounts>();
  readonly freeIndex: FreeIndex[] = [];
  readonly shared: SharedDevices[] = [];
  readonly #matching = new WeakMap<ResolvedRole, { version: number; partitions: Partition[] }>();
  readonly #partitionsFor = new WeakMap<Request, { version: number; partitions: Partition[] }>();
  #entries = 0;

  constructor(levels: Levels, pools = new Map<string, PoolInput>()) {
    this.levels = levels;
    this.pools = pools;
    this.power = new Power(this.nodes, pools, this.partitions);
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
      this.freeIndex.push(new FreeIndex(partition));
      this.shared.push(new SharedDevices(partition));
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
    if (input.doubtful) this.doubtful.add(slot);
    else this.doubtful.delete(slot);
    nodes.setCapacity(slot, input.devices, input.cpuMillis, input.memoryBytes);
    partition.freed++;
  }

  removeNode(id: string): void {
    const slot = this.nodes.names.find(id);
    this.doubtful.delete(slot);
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

  /** Where a role may go when the leading one goes to `lead`. */
  choices(variant: ResolvedVariant, role: ResolvedRole, lead: Partition): readonly Partition[] {
    return choosesItself(variant, role) ? this.matching(variant, role) : [lead];
  }

  /** What a variant uses at its least size when the role that leads goes to `lead`; null where a role has nowhere to go. */
  chargesFor(variant: ResolvedVariant, lead: Partition): Charge[] | null {
    const charges: Charge[] = [];
    for (const role of variant.roles) {
      const partition = this.choices(variant, role, lead)[0];
      if (partition === undefined) return null;
      charges.push({ partition, shape: role.shape, members: role.min });
    }
    return charges;
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

  /** Told of every submission, from which the expected mix of small jobs is learned. */
  observe(request: Request): void {
    for (const { roles } of request.variants) {
      if (roles.length > 1 || roles[0]!.max > 1) continue;
      for (const partition of this.partitionsFor(request)) this.shared[partition.index]!.observe(roles[0]!.shape);
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
