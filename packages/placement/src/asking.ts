import type { JobRecord } from "./jobs.ts";
import type { QueueNode, Usage } from "./quota.ts";
import type { State } from "./state.ts";
import { claimOn, leavesEnough, type Source, type Unit } from "./victims.ts";
import { Heap } from "./waiting.ts";

/** Where a source has got to. */
export interface Head {
  source: Source;
  next: number;
  /** Its place among the others, where all else is equal. */
  index: number;
}

/** Those with nothing left come first, to be dropped. */
function precedes(a: Head, b: Head): boolean {
  const unit = a.source.units[a.next];
  const other = b.source.units[b.next];
  if (unit === undefined || other === undefined) return unit === undefined && (other !== undefined || a.index < b.index);
  if (unit.job.input.priority !== other.job.input.priority) return unit.job.input.priority < other.job.input.priority;
  if (unit.lostWork !== other.lostWork) return unit.lostWork < other.lostWork;
  if (unit.job.startedAt !== other.job.startedAt) return unit.job.startedAt > other.job.startedAt;
  return a.index < b.index;
}

/** Sources below one branch of the tree: they are asked alike, so the units themselves decide which goes first. */
class Branch {
  readonly own: boolean;
  readonly height: number;
  readonly taker: QueueNode;
  readonly giver: QueueNode;
  share = 0;
  /** By what right the job takes from it, and at which version of the quota tree that was so. */
  kind: Source["kind"] | null;
  judgedAt = -1;
  readonly #heads: Head[] = [];
  #order: Heap<Head> | null = null;

  constructor({ own, height, taker, giver, kind }: Source) {
    this.own = own;
    this.height = height;
    this.taker = taker;
    this.giver = giver;
    this.kind = kind;
  }

  add(head: Head): void {
    this.#heads.push(head);
  }

  /** Put in order when first asked for: that lists the units of each. */
  get order(): Heap<Head> {
    if (this.#order === null) {
      this.#order = new Heap(precedes);
      for (const head of this.#heads) this.#order.push(head);
    }
    return this.#order;
  }
}

/** Other queues before the own, nearer ones before those further off, then the largest share. */
function asked(a: Branch, b: Branch): number {
  if (a.own !== b.own) return a.own ? 1 : -1;
  if (a.height !== b.height) return a.height - b.height;
  return Math.abs(a.share - b.share) > 1e-12 ? b.share - a.share : 0;
}

/**
 * Units in the order in which they go, from where the heads have got to. Whoever takes one ends its use before the next is asked
 * for; what is no longer just by then is passed over. `surplus`: only what is above a minimum.
 */
export function* inOrder(state: State, job: JobRecord, usage: Usage, heads: readonly Head[], surplus: boolean): Generator<Unit> {
  const { quota } = state;
  const dims = quota.countedOf(usage);
  const branches = new Map<QueueNode, Branch>();
  for (const head of heads) {
    const { source } = head;
    let branch = branches.get(source.giver);
    if (branch === undefined) {
      branch = new Branch(source);
      if (!source.own) branch.share = quota.share(source.giver, dims);
      branches.set(source.giver, branch);
    }
    branch.add(head);
  }
  const left = [...branches.values()].sort(asked);
  while (left.length > 0) {
    const at = firstOf(left);
    const branch = left[at]!;
    if (!branch.own && branch.judgedAt !== quota.version) {
      branch.kind = claimOn(state, job, branch.taker, branch.giver, usage);
      branch.judgedAt = quota.version;
    }
    // Without a claim none of its units may go, and what else goes gives none.
    const head = branch.kind === null ? undefined : branch.order.pop();
    if (head === undefined) {
      left.splice(at, 1);
      continue;
    }
    const unit = head.source.units[head.next];
    if (unit === undefined || (surplus && !unit.surplus)) continue;
    head.next++;
    branch.order.push(head);
    if (!leavesEnough(state, job, head.source, unit, branch.kind!)) continue;
    yield unit;
    if (branch.own) continue;
    branch.share = quota.share(branch.giver, dims);
    left.splice(at, 1);
    const later = left.findIndex((other) => asked(branch, other) < 0);
    left.splice(later < 0 ? left.length : later, 0, branch);
  }
}

/** Only among branches that are asked alike do the units themselves decide. */
function firstOf(left: readonly Branch[]): number {
  let at = 0;
  for (let i = 1; i < left.length && asked(left[i]!, left[0]!) === 0; i++) {
    const head = left[i]!.order.peek();
    const first = left[at]!.order.peek();
    if (first !== undefined && (head === undefined || precedes(head, first))) at = i;
  }
  return at;
}
