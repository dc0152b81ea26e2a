import { freeDevices } from "./capacity.ts";
import type { DisruptionCause } from "./decisions.ts";
import type { JobInput } from "./job-input.ts";
import { lostWork, type JobRecord } from "./jobs.ts";
import type { Holding } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import type { QueueNode, Usage } from "./quota.ts";
import { isBelow } from "./queues.ts";
import { byService } from "./service.ts";
import type { State } from "./state.ts";

/** The least that can be taken from a running job: some members above its minimum, or all the rest of it at once. */
export interface Unit {
  job: JobRecord;
  /** Members above the minimum, from the highest rank down; false: the whole gang. */
  surplus: boolean;
  role: number;
  holdings: readonly Holding[];
  usage: Usage;
  /** Device-milliseconds; counted anew whenever units are listed. */
  lostWork: number;
}

/** One queue from which a job may take, and what of it. */
export class Source {
  readonly queue: QueueNode;
  /** Height at which the two queues meet; nearer ones are asked first. */
  readonly height: number;
  /** The branches below that meeting point: the taker's and the source's. */
  readonly taker: QueueNode;
  readonly giver: QueueNode;
  readonly kind: DisruptionCause["kind"];
  /** Only jobs up to this priority give. */
  readonly most: number;
  readonly #list: (source: Source) => readonly Unit[];
  #units: readonly Unit[] | null = null;

  constructor(
    queue: QueueNode,
    height: number,
    taker: QueueNode,
    giver: QueueNode,
    kind: Source["kind"],
    most: number,
    list: (source: Source) => readonly Unit[],
  ) {
    this.queue = queue;
    this.height = height;
    this.taker = taker;
    this.giver = giver;
    this.kind = kind;
    this.most = most;
    this.#list = list;
  }

  /** The job's own queue. */
  static own(queue: QueueNode, kind: Source["kind"], list: (source: Source) => readonly Unit[]): Source {
    return new Source(queue, 0, queue, queue, kind, Infinity, list);
  }

  get own(): boolean {
    return this.taker === this.giver;
  }

  /** In the order in which they go; listed when first asked for, as most sources never are. */
  get units(): readonly Unit[] {
    this.#units ??= this.#list(this);
    return this.#units;
  }

  /** Only what touches these nodes. */
  narrow(nodes: ReadonlySet<number>): Source {
    return this.#listing(() => this.units.filter((unit) => unit.holdings.some((holding) => nodes.has(holding.node))));
  }

  /** Of those that are as urgent. */
  largestFirst(): Source {
    return this.#listing(() =>
      [...this.units].sort((a, b) => Number(b.surplus) - Number(a.surplus) || a.job.input.priority - b.job.input.priority || size(b) - size(a)),
    );
  }

  #listing(list: () => readonly Unit[]): Source {
    return new Source(this.queue, this.height, this.taker, this.giver, this.kind, this.most, list);
  }
}

/** False where a look at the queues alone shows that a job may take nothing from anybody. */
export function couldTake(state: State, taker: JobRecord): boolean {
  return couldTakeFromOwn(state, taker) || (mayReclaim(state, taker) && state.running.anyBeside(taker.queue));
}

/** Whether anything that runs in its own queue comes after it. */
export function couldTakeFromOwn(state: State, { queue, input, need }: JobRecord): boolean {
  const { withinQueue = "lower_priority" } = queue.input;
  const running = state.running.of(queue);
  if (withinQueue === "never") return false;
  if (!byService(queue)) return state.anyUnprotected(running, withinQueue === "lower_or_newer_equal" ? input.priority : input.priority - 1);
  return state.anyUnprotected(running, Infinity) && (running.leastUrgent < input.priority || state.service.behind(state, queue, need).count > 0);
}

/** Whether its queue may take from others at all. */
export function mayReclaim(state: State, { queue }: JobRecord): boolean {
  return queue.input.reclaim !== "never" && state.policy.reclaim !== "never";
}

/**
 * Where a job could take from others, before any of it is taken. Within its own queue: less urgent work. In other
 * queues: from a branch that uses more than its own, by a taker that stays within its own, or whose weighted share
 * would still be below the giver's; only the guaranteed part reaches more urgent work.
 */
export function sources(state: State, taker: JobRecord, usage: Usage, partitions: readonly Partition[]): Source[] {
  const { input, queue } = taker;
  const { reclaim = "any_priority" } = queue.input;
  const own = ownSource(state, taker, partitions, false);
  const found: Source[] = own === null ? [] : [own];
  if (!mayReclaim(state, taker)) return found;
  const list = (source: Source): readonly Unit[] => unitsUpTo(state, source.queue, partitions, source.most);
  /** What runs below a branch that meets the taker's at `height`, or in the branch alone. */
  const from = (claim: Claim, giver: QueueNode, height: number, alone: boolean): void => {
    const kind = claim.on(giver);
    if (kind === null) return;
    const most = reclaim === "lower_priority" ? input.priority - 1 : kind === "fair_share" ? input.priority : Infinity;
    const visit = (other: QueueNode): void => {
      const running = state.running.of(other);
      if (running.jobs.size > 0 && state.anyUnprotected(running, most)) found.push(new Source(other, height, claim.taker, giver, kind, most, list));
      if (!alone) for (const child of other.children) visit(child);
    };
    visit(giver);
  };
  if (queue.children.size > 0) {
    const claim = new Claim(state, taker, queue, usage);
    for (const child of queue.children) from(claim, child, queue.height, false);
  }
  for (let branch = queue; branch.parent !== null; branch = branch.parent) {
    const claim = new Claim(state, taker, branch, usage);
    const { parent } = branch;
    for (const sibling of parent.children) if (sibling !== branch) from(claim, sibling, parent.height, false);
    // One queue may lie on the way to the root: then it is its own branch.
    if (parent.parent !== null) from(claim, parent, parent.height, true);
  }
  return found;
}

/** What a job's own queue may give up for it, or null. `helped`: others may add what it lacks. */
export function ownSource(state: State, taker: JobRecord, partitions: readonly Partition[], helped: boolean): Source | null {
  if (!couldTakeFromOwn(state, taker)) return null;
  const { input, queue } = taker;
  const list = byService(queue)
    ? unitsByService(state, taker, partitions, state.running.of(queue).leastUrgent, helped)
    : queue.input.withinQueue === "lower_or_newer_equal"
      ? () => unitsUpTo(state, queue, partitions, input.priority).filter(({ job: { input: other } }) => comesAfter(other, input))
      : () => unitsUpTo(state, queue, partitions, input.priority - 1);
  return list === null ? null : Source.own(queue, "priority", list);
}

function comesAfter(other: JobInput, job: JobInput): boolean {
  return other.priority < job.priority || (other.priority === job.priority && other.submittedAt > job.submittedAt);
}

/**
 * In a queue that goes by service: less urgent work, and what needs more, the most first. Null where others do not
 * help and that cannot be enough, by numbers of devices alone.
 */
function unitsByService(state: State, taker: JobRecord, partitions: readonly Partition[], least: number, helped: boolean): (() => Unit[]) | null {
  const { priority } = taker.input;
  const { jobs, count, devices } = state.service.behind(state, taker.queue, taker.need);
  const needed = taker.request.variants[0]!.roles.reduce((sum, role) => sum + (role.shape.share > 0 ? 0 : role.min * role.shape.devices), 0);
  const enough = (): boolean => devices + partitions.reduce((sum, partition) => sum + freeDevices(state, partition), 0) >= needed;
  if (least >= priority && (count === 0 || !(helped || enough()))) return null;
  return () => {
    const going = new Set(jobs.slice(0, count).filter((job) => job.input.priority <= priority));
    if (least < priority) for (const job of state.running.of(taker.queue).jobs) if (job.input.priority < priority) going.add(job);
    const units: Unit[] = [];
    for (const job of going) if (job.state === "running" && mayGo(state, job, partitions)) units.push(...unitsOf(state, job));
    return units.sort(mostNeededFirst);
  };
}

function mostNeededFirst(a: Unit, b: Unit): number {
  return Number(b.surplus) - Number(a.surplus) || a.job.input.priority - b.job.input.priority || b.job.need - a.job.need || goesFirst(a, b);
}

/**
 * By what right one branch may take from another. What is guaranteed is judged by what the use itself touches;
 * shares of the surplus by all that either branch holds, as only one measure for all keeps takers from taking turns.
 */
class Claim {
  readonly taker: QueueNode;
  readonly #state: State;
  readonly #dims: readonly number[];
  readonly #within: boolean;
  readonly #share: number;

  constructor(state: State, job: JobRecord, taker: QueueNode, usage: Usage) {
    const { quota } = state;
    const more = { of: job.queue, usage, ends: false };
    this.taker = taker;
    this.#state = state;
    this.#dims = quota.countedOf(usage);
    this.#within = quota.share(taker, this.#dims, more) === 0;
    this.#share = this.#within ? 0 : quota.share(taker, quota.counted, more);
  }

  on(giver: QueueNode): "reclaim" | "fair_share" | null {
    const { quota, policy } = this.#state;
    if (this.#within) return quota.share(giver, this.#dims) > 1e-12 ? "reclaim" : null;
    // Who holds too much of something else keeps what is its own of this.
    if (policy.reclaim !== "fair_share" || quota.share(giver, this.#dims) <= 1e-12) return null;
    return quota.share(giver) > this.#share + Math.max(1e-12, policy.fairShareMargin) ? "fair_share" : null;
  }
}

/** All that may go of a queue's running jobs up to a priority, in order; listed once in a cycle unless what runs changes. */
function unitsUpTo(state: State, queue: QueueNode, partitions: readonly Partition[], priority: number): readonly Unit[] {
  const running = state.running.of(queue);
  const { listed } = running;
  const isCurrent = listed.cycle === state.cycles && listed.version === running.version;
  if (!isCurrent || listed.partitions.length !== partitions.length || !listed.partitions.every((one, i) => one === partitions[i])) {
    const units: Unit[] = [];
    for (const job of running.jobs) if (mayGo(state, job, partitions)) for (const unit of unitsOf(state, job)) units.push(unit);
    running.listed = { cycle: state.cycles, version: running.version, partitions, all: units.sort(goesFirst), upTo: new Map() };
  }
  const { all, upTo } = running.listed;
  let units = upTo.get(priority);
  if (units === undefined) {
    units = all.every((unit) => unit.job.input.priority <= priority) ? all : all.filter((unit) => unit.job.input.priority <= priority);
    upTo.set(priority, units);
  }
  return units;
}

export function mayGo(state: State, job: JobRecord, partitions: readonly Partition[]): boolean {
  if (!job.input.preemptible || job.leaving !== null || job.resized || !job.placement!.roles.some((placed) => partitions.includes(placed.partition)))
    return false;
  const until = job.startedAt + state.protectedRuntime;
  if (until > state.now) state.protectedUntil = Math.min(state.protectedUntil, until);
  return until <= state.now;
}

/** All of a job as one unit. */
export function wholeUnit(state: State, job: JobRecord): Unit {
  const units = unitsOf(state, job);
  const base = units.at(-1)!;
  return { ...base, holdings: units.flatMap((unit) => unit.holdings), usage: job.usage };
}

function unitsOf(state: State, job: JobRecord): readonly Unit[] {
  if (job.units?.of !== job.usage) job.units = { of: job.usage, list: listUnits(state, job) };
  const { list } = job.units;
  list[list.length - 1]!.lostWork = lostWork(job, state.now);
  return list;
}

function listUnits(state: State, job: JobRecord): Unit[] {
  const units: Unit[] = [];
  const base: Holding[] = [];
  const charges = [];
  for (const [role, placed] of job.placement!.roles.entries()) {
    const { min, step, shape } = placed.role;
    let end = placed.members.length;
    for (; end - step >= min; end -= step) {
      units.push({
        job,
        surplus: true,
        role,
        holdings: placed.members.slice(end - step, end),
        lostWork: 0,
        usage: state.quota.usageOf([{ partition: placed.partition, shape, members: step }]),
      });
    }
    for (let i = 0; i < end; i++) base.push(placed.members[i]!);
    charges.push({ partition: placed.partition, shape, members: end });
  }
  units.push({ job, surplus: false, role: -1, holdings: base, lostWork: 0, usage: state.quota.usageOf(charges) });
  return units;
}

/** Surplus before gangs, less urgent before more urgent, least lost work, newest, smallest. */
export function goesFirst(a: Unit, b: Unit): number {
  return (
    Number(b.surplus) - Number(a.surplus) ||
    a.job.input.priority - b.job.input.priority ||
    a.lostWork - b.lostWork ||
    b.job.startedAt - a.job.startedAt ||
    b.job.input.submittedAt - a.job.input.submittedAt ||
    size(a) - size(b) ||
    b.job.sequence - a.job.sequence
  );
}

export function size(unit: Unit): number {
  return unit.usage.reduce((sum, { amount }) => sum + amount, 0);
}

/** By what right a job of one branch may take from another, by what all hold now. */
export function claimOn(state: State, job: JobRecord, taker: QueueNode, giver: QueueNode, usage: Usage): "reclaim" | "fair_share" | null {
  return new Claim(state, job, taker, usage).on(giver);
}

/** Whether taking the unit leaves every queue above it its guarantee, and the giver no less than the taker. */
export function leavesEnough(state: State, job: JobRecord, source: Source, unit: Unit, kind: Source["kind"]): boolean {
  if (source.own) return true;
  // A giver left with less than the taker has already would take it back as soon as others of the taker's fill the rest.
  const mayReturn = kind === "fair_share" && unit.job.input.priority === job.input.priority;
  const { quota } = state;
  if (mayReturn) {
    const ended = { of: source.queue, usage: unit.usage, ends: true };
    const left = quota.share(source.giver, quota.counted, ended);
    const taken = quota.share(source.taker);
    if (left < taken - 1e-12) return false;
    // Where neither would have more than its own, who lacks more of that.
    const dims = left + taken > 0 ? [] : quota.countedOf(unit.usage);
    if (dims.length > 0 && quota.excess(source.giver, dims, ended) < quota.excess(source.taker, dims) - 1e-12) return false;
  }
  if (kind === "fair_share" && !unit.surplus && wouldBeTakenBack(state, job, source, unit)) return false;
  for (let up: QueueNode = source.queue; up.parent !== null; up = up.parent) {
    for (const { dimension, amount } of unit.usage) {
      const guarantee = up.stated[dimension]?.guarantee;
      if (guarantee !== undefined && (up.held[dimension] ?? 0) - amount < guarantee) return false;
    }
    if (up === source.giver) break;
  }
  return true;
}

/**
 * Whether a gang is so large that without it the giver would use less than its own, and something waits there that would have a right to
 * that: it would stop the taker at once.
 */
function wouldBeTakenBack(state: State, job: JobRecord, source: Source, unit: Unit): boolean {
  const { giver } = source;
  if (unit.usage.every(({ dimension, amount }) => (giver.usage[dimension] ?? 0) - amount >= (giver.nominal[dimension] ?? 0))) return false;
  const ended = { of: source.queue, usage: unit.usage };
  for (const [queue, lanes] of state.lanes) {
    const { reclaim = "any_priority" } = queue.input;
    if (lanes.size === 0 || reclaim === "never" || !isBelow(queue, giver)) continue;
    for (const lane of lanes.values()) {
      if (!state.quota.isOwnOnce(giver, queue, state.leadUsage(lane.request), ended)) continue;
      if (reclaim === "any_priority" || lane.head()!.input.priority > job.input.priority) return true;
    }
  }
  return false;
}

/** Its places and its quota count as free, until they are taken back. */
export function giveUp(state: State, unit: Unit): void {
  state.tried++;
  for (const holding of unit.holdings) state.placer.nodes.give(holding);
  state.quota.refund(unit.job.queue, unit.usage);
}

export function takeBack(state: State, unit: Unit): void {
  for (const holding of unit.holdings) state.placer.nodes.take(holding);
  state.quota.charge(unit.job.queue, unit.usage);
}
