import { fitsOnNode } from "./counts.ts";
import { blocksOf, Prices, priceNodes, UnitsByNode } from "./focus.ts";
import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import type { Usage } from "./quota.ts";
import type { Request } from "./request.ts";
import type { State } from "./state.ts";
import { claimOn, giveUp, leavesEnough, takeBack, type Source, type Unit } from "./victims.ts";

/**
 * What is to go for a gang of one role where what others hold above their own lies scattered among what is theirs: node by node,
 * the cheapest first, and of each only if all that stands in the way there may be taken still. What the own queue may give up goes
 * before that, as claims on others may rest on it. Null where no block has enough such nodes. Nothing is changed by it.
 */
export function clearNodes(state: State, job: JobRecord, request: Request, partition: Partition, from: readonly Source[], usage: Usage): Unit[] | null {
  const { roles } = request.variants[0]!;
  if (roles.length > 1) return null;
  const { freed, version } = state.quota;
  const clearing = new Clearing(state, job, request, partition, from, usage);
  const units = clearing.run();
  clearing.undo(0);
  state.quota.freed = freed;
  state.quota.version = version;
  return units;
}

class Clearing {
  readonly #state: State;
  readonly #job: JobRecord;
  readonly #request: Request;
  readonly #partition: Partition;
  readonly #own: readonly Source[];
  readonly #others: readonly Source[];
  readonly #usage: Usage;
  readonly #gone: Unit[] = [];
  readonly #isGone = new Set<Unit>();

  constructor(state: State, job: JobRecord, request: Request, partition: Partition, from: readonly Source[], usage: Usage) {
    this.#state = state;
    this.#job = job;
    this.#request = request;
    this.#partition = partition;
    this.#own = from.filter(({ own }) => own);
    this.#others = from.filter(({ own }) => !own);
    this.#usage = usage;
  }

  run(): Unit[] | null {
    for (const { units } of this.#own) for (const unit of units) this.#take(unit);
    const own = this.#gone.length;
    const role = this.#request.variants[0]!.roles[0]!;
    const within = this.#request.withinRequired ? this.#request.within : this.#state.levels.root;
    const each = within === 0 || role.min === 1 ? role.min : 1;
    const prices = new Prices(this.#partition.nodeAt.length);
    priceNodes(this.#state, this.#job, role.shape, each, this.#partition, this.#others, prices);
    const here = new UnitsByNode(this.#state.placer.nodes.schedulable.length, this.#others);
    const needed = Math.ceil(role.min / each);
    for (const block of needed === 1 ? [prices.positions] : blocksOf(this.#partition, Math.max(within, 0), prices.positions)) {
      if (block.length < needed) continue;
      let members = 0;
      for (const position of prices.cheapest(block, block.length)) {
        members += this.#clear(this.#partition.nodeAt[position]!, each, here);
        if (members >= role.min) return [...this.#gone];
      }
      this.undo(own);
    }
    return null;
  }

  undo(to: number): void {
    while (this.#gone.length > to) {
      const unit = this.#gone.pop()!;
      this.#isGone.delete(unit);
      takeBack(this.#state, unit);
    }
  }

  /** How many members fit on a node once enough is gone there; 0, and nothing is, where not enough may go. */
  #clear(slot: number, each: number, here: UnitsByNode): number {
    const { nodes } = this.#state.placer;
    const { shape } = this.#request.variants[0]!.roles[0]!;
    const before = this.#gone.length;
    let fits = fitsOnNode(nodes, slot, shape);
    for (let at = here.first(slot); at !== -1 && fits < each; at = here.next(at)) {
      const unit = here.unit(at);
      if (this.#isGone.has(unit)) continue;
      const source = here.source(at);
      const kind = claimOn(this.#state, this.#job, source.taker, source.giver, this.#usage);
      if (kind === null || !leavesEnough(this.#state, this.#job, source, unit, kind)) continue;
      this.#take(unit);
      fits = fitsOnNode(nodes, slot, shape);
    }
    if (fits >= each) return fits;
    this.undo(before);
    return 0;
  }

  #take(unit: Unit): void {
    giveUp(this.#state, unit);
    this.#gone.push(unit);
    this.#isGone.add(unit);
  }
}
