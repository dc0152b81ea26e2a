import { freeDevices } from "./capacity.ts";
import type { DisruptionCause } from "./decisions.ts";
import { lostWork, type JobRecord } from "./jobs.ts";
import type { Holding } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import { meets, type QueueNode, type Usage } from "./quota.ts";
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
  lostWork: number;
}

/** One queue from which a job may take, and what of it. */
export class Source {
  readonly queue: QueueNode;
  readonly own: boolean;
  /** Height at which the two queues meet; nearer ones are asked first. */
  readonly height: number;
  /** The branches below that meeting point: the taker's and the source's. */
  readonly taker: QueueNode;
  readonly giver: QueueNode;
  readonly kind: DisruptionCause["kind"];
  readonly #list: () => readonly Unit[];
  #units: readonly Unit[] | null = null;

  constructor(at: Pick<Source, "queue" | "own" | "height" | "taker" | "giver" | "kind">, list: () => readonly Unit[]) {
    this.queue = at.queue;
    this.own = at.own;
    this.height = at.height;
    this.taker = at.taker;
    this.giver = at.giver;
    this.kind = at.kind;
    this.#list = list;
  }

  /** In the order in which they go; listed when first asked for, as most sources never are. */
  get units(): readonly Unit[] {
    this.#units ??= this.#list();
    return this.#units;
  }

  /** Only what touches these nodes. */
  narrow(nodes: ReadonlySet<number>): Source {
    return new Source(this, () => this.units.filter((unit) => unit.holdings.some((holding) => nodes.has(holding.node))));
  }
}

/** False where a look at the queues alone shows that a job may take nothing from anybody. */
export function couldTake(state: State, taker: JobRecord): boolean {
  return couldTakeFromOwn(state, taker) || (mayReclaim(state, taker) && state.running.anyBeside(taker.queue));
}

/** Whether anything that runs in its own queue comes after it. */
export function couldTakeFromOwn(state: State, { queue, input, need }: JobRecord): boolean {
  const { withinQueue = "lower_priority" } = queue.input;
  if (withinQueue === "never" || !state.anyUnprotected(queue)) return false;
  const least = state.running.leastUrgent(queue);
  if (byService(queue)) return least < input.priority || state.service.behind(state, queue, need).count > 0;
  return least < input.priority || (withinQueue === "lower_or_newer_equal" && least === input.priority);
}

function mayReclaim(state: State, { queue }: JobRecord): boolean {
  return queue.input.reclaim !== "never" && state.policy.reclaim !== "never";
}

/**
 * Where a job could take from others, before any of it is taken. Within its own queue: less urgent work. In other
 * queues: from a branch that uses more than its own, by a taker that stays within its own, or whose weighted share
 * would still be below the giver's; only the guaranteed part reaches more urgent work.
 */
export function sources(state: State, taker: JobRecord, usage: Usage, partitions: readonly Partition[]): Source[] {
  const found: Source[] = [];
  const add = (queue: QueueNode, own: boolean, meeting: ReturnType<typeof meets>, kind: DisruptionCause["kind"], accept: (job: JobRecord) => boolean): void => {
    found.push(
      new Source({ queue, own, height: meeting.height, taker: meeting.a, giver: meeting.b, kind }, () =>
        unitsIn(state, queue, partitions).filter((unit) => accept(unit.job)),
      ),
    );
  };

  const { input, queue } = taker;
  const { withinQueue = "lower_priority", reclaim = "any_priority" } = queue.input;
  if (couldTakeFromOwn(state, taker)) {
    if (byService(queue)) {
      const list = unitsByService(state, taker, partitions, state.running.leastUrgent(queue));
      if (list !== null) found.push(new Source({ queue, own: true, height: 0, taker: queue, giver: queue, kind: "priority" }, list));
    } else {
      add(
        queue,
        true,
        { height: 0, a: queue, b: queue },
        "priority",
        (job) =>
          job.input.priority < input.priority ||
          (withinQueue === "lower_or_newer_equal" && job.input.priority === input.priority && job.input.submittedAt > input.submittedAt),
      );
    }
  }
  if (!mayReclaim(state, taker)) return found;
  let claim: Claim | null = null;
  for (const [other, running] of state.running.byQueue) {
    if (other === queue || running.size === 0) continue;
    const meeting = meets(queue, other);
    if (claim?.taker !== meeting.a) claim = new Claim(state, taker, meeting.a, usage);
    const kind = claim.on(meeting.b);
    if (kind === null) continue;
    const below = reclaim === "lower_priority" ? input.priority - 1 : kind === "fair_share" ? input.priority : Infinity;
    if (state.running.leastUrgent(other) > below || !state.anyUnprotected(other)) continue;
    add(other, false, meeting, kind, (job) => (reclaim === "lower_priority" ? job.input.priority < input.priority : job.input.priority <= below));
  }
  return found;
}

/**
 * In a queue that goes by service: less urgent work, and what needs more, the most first. Null where that cannot be
 * enough, by numbers of devices alone.
 */
function unitsByService(state: State, taker: JobRecord, partitions: readonly Partition[], least: number): (() => Unit[]) | null {
  const { priority } = taker.input;
  const { jobs, count, devices } = state.service.behind(state, taker.queue, taker.need);
  const needed = taker.request.variants[0]!.roles.reduce((sum, role) => sum + (role.shape.share > 0 ? 0 : role.min * role.shape.devices), 0);
  if (least >= priority && (count === 0 || devices + partitions.reduce((sum, partition) => sum + freeDevices(state, partition), 0) < needed)) return null;
  return () => {
    const going = new Set(jobs.slice(0, count).filter((job) => job.input.priority <= priority));
    if (least < priority) for (const job of state.running.of(taker.queue)) if (job.input.priority < priority) going.add(job);
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
    const more = { of: job.queue, usage };
    this.taker = taker;
    this.#state = state;
    this.#dims = quota.countedOf(usage);
    this.#within = quota.share(taker, this.#dims, more) === 0;
    this.#share = this.#within ? 0 : quota.share(taker, quota.counted, more);
  }

  on(giver: QueueNode): "reclaim" | "fair_share" | null {
    const { quota, policy } = this.#state;
    if (this.#within) return quota.share(giver, this.#dims) > 1e-12 ? "reclaim" : null;
    if (policy.reclaim !== "fair_share") return null;
    return quota.share(giver) > this.#share + Math.max(1e-12, policy.fairShareMargin) ? "fair_share" : null;
  }
}

/** All that may go of a queue's running jobs, in order; listed once in a cycle unless what runs changes. */
function unitsIn(state: State, queue: QueueNode, partitions: readonly Partition[]): readonly Unit[] {
  const stamp = `${state.cycles}/${state.running.version(queue)}/${partitions.map(({ index }) => index).join()}`;
  const known = state.unitCache.get(queue);
  if (known?.stamp === stamp) return known.units;
  const units: Unit[] = [];
  for (const job of state.running.of(queue)) if (mayGo(state, job, partitions)) units.push(...unitsOf(state, job));
  units.sort(goesFirst);
  state.unitCache.set(queue, { stamp, units });
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

function unitsOf(state: State, job: JobRecord): Unit[] {
  const units: Unit[] = [];
  const work = lostWork(job, state.now);
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
  units.push({ job, surplus: false, role: -1, holdings: base, lostWork: work, usage: state.quota.usageOf(charges) });
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

function size(unit: Unit): number {
  return unit.usage.reduce((sum, { amount }) => sum + amount, 0);
}

/** Whether taking the unit leaves every queue above it its guarantee, and is still just. */
export function mayTake(state: State, job: JobRecord, source: Source, unit: Unit, usage: Usage): boolean {
  if (source.own) return true;
  const kind = new Claim(state, job, source.taker, usage).on(source.giver);
  if (kind === null) return false;
  // A giver left with less than the taker has already would take it back as soon as others of the taker's fill the rest.
  const mayReturn = kind === "fair_share" && unit.job.input.priority === job.input.priority;
  const { quota } = state;
  const left = { of: source.queue, usage: without(unit.usage) };
  if (mayReturn && quota.share(source.giver, quota.counted, left) < quota.share(source.taker) - 1e-12) return false;
  for (let up: QueueNode = source.queue; up.parent !== null; up = up.parent) {
    for (const { dimension, amount } of unit.usage) {
      const guarantee = up.stated[dimension]?.guarantee;
      if (guarantee !== undefined && (up.held[dimension] ?? 0) - amount < guarantee) return false;
    }
    if (up === source.giver) break;
  }
  return true;
}

function without(usage: Usage): Usage {
  return usage.map(({ dimension, amount }) => ({ dimension, amount: -amount }));
}
