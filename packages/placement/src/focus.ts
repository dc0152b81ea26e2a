import { fitsOnNode } from "./counts.ts";
import type { JobRecord } from "./jobs.ts";
import type { Holding } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import type { Request } from "./request.ts";
import type { State } from "./state.ts";
import type { Source, Unit } from "./victims.ts";
import { Heap } from "./waiting.ts";
import { closedNodes } from "./windows.ts";

/** The nodes that are cheapest to clear for a gang of one role, in the block where they are cheapest together; without those that have room. */
export function focusNodes(state: State, job: JobRecord, request: Request, partition: Partition, from: readonly Source[]): ReadonlySet<number> | null {
  const { roles } = request.variants[0]!;
  if (roles.length > 1) return null;
  const role = roles[0]!;
  const within = request.withinRequired ? request.within : state.levels.root;
  const each = within === 0 || role.min === 1 ? role.min : 1;
  const prices = new Prices(partition.nodeAt.length);
  priceNodes(state, job, role.shape, each, partition, from, prices);
  const needed = Math.ceil(role.min / each);
  let best: { positions: readonly number[]; total: Price } | null = null;
  for (const block of needed === 1 ? [prices.positions] : blocksOf(partition, Math.max(within, 0), prices.positions)) {
    if (block.length < needed) continue;
    const positions = prices.cheapest(block, needed);
    const total = prices.total(positions);
    if (best === null || compare(total, best.total) < 0) best = { positions, total };
  }
  if (best === null) return null;
  return new Set(best.positions.filter((position) => !prices.isFree(position)).map((position) => partition.nodeAt[position]!));
}

interface Price {
  position: number;
  /** Of the most urgent gang that goes. */
  priority: number;
  work: number;
  gangs: number;
}

function compare(a: Price, b: Price): number {
  if (a.priority !== b.priority) return a.priority - b.priority;
  return a.gangs - b.gangs || a.work - b.work || a.position - b.position;
}

/** What it costs to clear each node, in flat arrays: this looks at all nodes of a cluster. */
export class Prices {
  /** Where it is possible at all. */
  readonly positions: number[] = [];
  readonly #priority: Float64Array;
  readonly #work: Float64Array;
  readonly #gangs: Int32Array;
  readonly #free: Uint8Array;

  constructor(size: number) {
    this.#priority = new Float64Array(size);
    this.#work = new Float64Array(size);
    this.#gangs = new Int32Array(size);
    this.#free = new Uint8Array(size);
  }

  add(position: number, priority: number, work: number, gangs: number): void {
    this.positions.push(position);
    this.#priority[position] = priority;
    this.#work[position] = work;
    this.#gangs[position] = gangs;
  }

  /** Nothing need go here. */
  addFree(position: number): void {
    this.add(position, -Infinity, 0, 0);
    this.#free[position] = 1;
  }

  isFree(position: number): boolean {
    return this.#free[position] === 1;
  }

  cheapest(positions: readonly number[], needed: number): number[] {
    const chosen = new Heap<number>((a, b) => this.#compare(a, b) > 0);
    for (const position of positions) {
      if (chosen.size < needed) chosen.push(position);
      else if (this.#compare(position, chosen.peek()!) < 0) {
        chosen.pop();
        chosen.push(position);
      }
    }
    return [...chosen.values()].sort((a, b) => this.#compare(a, b));
  }

  total(positions: readonly number[]): Price {
    const total: Price = { position: Infinity, priority: -Infinity, work: 0, gangs: 0 };
    for (const position of positions) {
      total.position = Math.min(total.position, position);
      total.priority = Math.max(total.priority, this.#priority[position]!);
      total.work += this.#work[position]!;
      total.gangs += this.#gangs[position]!;
    }
    return total;
  }

  #compare(a: number, b: number): number {
    const [first, second] = [this.#priority[a]!, this.#priority[b]!];
    if (first !== second) return first - second;
    return this.#gangs[a]! - this.#gangs[b]! || this.#work[a]! - this.#work[b]! || a - b;
  }
}

export function priceNodes(
  state: State,
  job: JobRecord,
  shape: Parameters<typeof fitsOnNode>[2],
  each: number,
  partition: Partition,
  from: readonly Source[],
  prices: Prices,
): void {
  const { nodes } = state.placer;
  const here = new UnitsByNode(nodes.schedulable.length, from);
  const fit = state.placer.counts(partition, shape).sums[0]!;
  const closed = new Set(closedNodes(state, job));
  const gone: Holding[] = [];
  for (let position = 0; position < partition.nodeAt.length; position++) {
    const slot = partition.nodeAt[position]!;
    if (nodes.schedulable[slot] === 0 || closed.has(slot)) continue;
    if (fit[position]! >= each) {
      prices.addFree(position);
      continue;
    }
    let fits = 0;
    let priority = -Infinity;
    let work = 0;
    let gangs = 0;
    gone.length = 0;
    for (let at = here.first(slot); at !== -1 && fits < each; at = here.next(at)) {
      const unit = here.unit(at);
      for (const holding of unit.holdings) {
        if (holding.node !== slot) continue;
        nodes.give(holding);
        gone.push(holding);
      }
      if (!unit.surplus) {
        priority = Math.max(priority, unit.job.input.priority);
        gangs++;
      }
      work += unit.lostWork;
      fits = fitsOnNode(nodes, slot, shape);
    }
    for (const holding of gone) nodes.take(holding);
    if (fits >= each) prices.add(position, priority, work, gangs);
  }
}

/** For each node the units that hold something of it, in their order. */
export class UnitsByNode {
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  readonly #next: number[] = [];
  readonly #units: Unit[] = [];
  readonly #sources: Source[] = [];

  constructor(slots: number, from: readonly Source[]) {
    this.#first = new Int32Array(slots).fill(-1);
    this.#last = new Int32Array(slots).fill(-1);
    for (const source of from) for (const unit of source.units) for (const { node } of unit.holdings) this.#put(node, unit, source);
  }

  first(slot: number): number {
    return this.#first[slot]!;
  }

  next(at: number): number {
    return this.#next[at]!;
  }

  unit(at: number): Unit {
    return this.#units[at]!;
  }

  source(at: number): Source {
    return this.#sources[at]!;
  }

  #put(slot: number, unit: Unit, source: Source): void {
    const last = this.#last[slot]!;
    if (last !== -1 && this.#units[last] === unit) return;
    const at = this.#units.length;
    this.#units.push(unit);
    this.#sources.push(source);
    this.#next.push(-1);
    if (last === -1) this.#first[slot] = at;
    else this.#next[last] = at;
    this.#last[slot] = at;
  }
}

export function blocksOf(partition: Partition, level: number, positions: readonly number[]): Iterable<number[]> {
  const blocks = new Map<number, number[]>();
  for (const position of positions) {
    let block = position;
    for (let l = 0; l < level; l++) block = partition.levels[l]!.parent[block]!;
    const list = blocks.get(block);
    if (list === undefined) blocks.set(block, [position]);
    else list.push(position);
  }
  return blocks.values();
}
