import { inOrder, type Head } from "./asking.ts";
import { clearNodes } from "./clear-nodes.ts";
import type { DisruptionCause } from "./decisions.ts";
import { focusNodes } from "./focus.ts";
import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import type { Placement } from "./placement.ts";
import { chargesOf } from "./places.ts";
import { crossesZones } from "./preference.ts";
import type { QueueNode, Usage } from "./quota.ts";
import { leadingRole, type Request, type ResolvedVariant } from "./request.ts";
import { byService } from "./service.ts";
import type { State } from "./state.ts";
import { claimOn, couldTake, giveUp, leavesEnough, mayReclaim, ownSource, size, type Source, sources, takeBack, type Unit } from "./victims.ts";
import { bounds, leaseLasts } from "./windows.ts";

/** A start and what must go for it. */
export interface PreemptionPlan {
  placement: Placement;
  units: Unit[];
  /** By queue of the victims: in whose name they go. */
  kinds: ReadonlyMap<QueueNode, DisruptionCause["kind"]>;
  /** Of those whose gangs go: how far off the furthest is in the tree, and the least share that one of them holds. */
  reach: number;
  share: number;
}

/** Search is given up where so many would be back. */
const MOST_STAYING = 16;

/** Victim sets up to this size are also tried with each one left out and the job placed anew. */
const REFINE_LIMIT = 48;

/** Where more jobs run, a second look at all that could go is too much. */
const FEW = 1000;

/**
 * Finds the work to evict so that a job can start whole, or null. Nothing is changed by the search. Units are taken
 * in order until the job fits, once only on the nodes that are cheapest to clear (if `thorough`, as that looks at all
 * of them) and once anywhere; then each unit that turns out not to be needed is put back.
 */
export function planPreemption(state: State, job: JobRecord, thorough: boolean): PreemptionPlan | null {
  if (!couldTake(state, job)) return null;
  for (const variant of job.request.variants) {
    for (const lead of state.placer.matching(variant, leadingRole(variant))) {
      const charges = state.placer.chargesFor(variant, lead);
      if (charges === null) continue;
      const choices = variant.roles.map((role) => state.placer.choices(variant, role, lead));
      const usage = state.quota.usageOf(charges);
      if (!state.quota.couldEverAllow(job.queue, usage) || !leaseLasts(state, job, lead)) continue;
      const partitions = [...new Set(choices.flat())];
      const from = sources(state, job, usage, partitions);
      if (from.length === 0 && !byService(job.queue)) continue;
      const least = atLeast(crossesZones(state, job.request), variant);
      const search = new Search(state, job, least, choices, usage);
      // Those who hold more than their own are asked before the job's own queue gives up work.
      const others = from.filter((source) => !source.own);
      for (const group of [...(others.length > 0 ? [others] : []), ...(others.length < from.length ? [from] : [])]) {
        // Where the order itself says who goes, the cheapest nodes do not.
        const focus = thorough && !byService(job.queue) ? focusNodes(state, job, least, lead, group) : null;
        const focused = focus === null ? null : search.run(group.map((source) => source.narrow(focus)));
        const found = cheaper(state, focused, search.run(group));
        if (found === null) continue;
        const isSeveral = state.holding.size < FEW && !byService(job.queue) && found.units.filter((unit) => !unit.surplus).length > 1;
        if (!isSeveral) return found;
        // Fewer gangs that are no larger together may do as well.
        const larger = search.run(group.map((source) => source.largestFirst()));
        return larger === null || sizeOf(larger) > sizeOf(found) ? found : cheaper(state, found, larger)!;
      }
      const all = onceGone(state, job, usage, partitions, from);
      const best = all.length > from.length ? search.run(all, true) : null;
      if (best !== null) return best;
      const scattered = thorough && all.some(({ kind }) => kind === "reclaim") ? clearNodes(state, job, least, lead, all, usage) : null;
      const whole = scattered === null ? null : search.run(all, true, scattered);
      if (whole !== null) return whole;
    }
  }
  return null;
}

/** With those on whom the job has a claim only once less urgent work of its own queue, or of those nearer to it, is gone. */
function onceGone(state: State, job: JobRecord, usage: Usage, partitions: readonly Partition[], from: readonly Source[]): readonly Source[] {
  const { quota } = state;
  if (!mayReclaim(state, job) || !state.running.anyBeside(job.queue)) return from;
  const { freed, version } = quota;
  const all = [...from];
  const own = byService(job.queue) && !from.some((source) => source.own) ? ownSource(state, job, partitions, true) : null;
  if (own !== null) all.push(own);
  for (let known = 0; all.length > known; ) {
    known = all.length;
    // Those who meet it only at the root are in no branch that it shares.
    const gone = all.filter(({ height }) => height < quota.root.height).flatMap((source) => source.units);
    if (gone.length === 0) break;
    for (const unit of gone) quota.refund(unit.job.queue, unit.usage);
    const then = sources(state, job, usage, partitions);
    for (const unit of gone) quota.charge(unit.job.queue, unit.usage);
    const before = new Set(all.map(({ queue }) => queue));
    // What comes after it by service now may come before it later: that goes for what is guaranteed alone.
    all.push(...then.filter(({ queue, kind }) => !before.has(queue) && (kind === "reclaim" || !byService(job.queue))));
  }
  quota.freed = freed;
  quota.version = version;
  return byService(job.queue) && !all.some(({ kind }) => kind === "reclaim") ? from : all;
}

/** The request of one variant, at the least size: nothing is evicted so that a job may be larger. */
export function atLeast(request: Request, variant: ResolvedVariant): Request {
  return { ...request, variants: [{ ...variant, roles: variant.roles.map((role) => ({ ...role, max: role.min })) }] };
}

/** A placement at the least size, of the job as it was asked for: it may grow later. */
function asAsked(request: Request, { variant: { index }, roles }: Placement): Placement {
  const variant = request.variants.find((one) => one.index === index)!;
  return { variant, roles: roles.map((placed) => ({ ...placed, role: variant.roles.find(({ name }) => name === placed.role.name)! })) };
}

function sizeOf(plan: PreemptionPlan): number {
  return plan.units.reduce((sum, unit) => sum + size(unit), 0);
}

/** Nearer ones give before those further off, and of as many gangs those of whoever has more. */
function cost(state: State, plan: PreemptionPlan): number[] {
  const gangs = plan.units.filter((unit) => !unit.surplus);
  return [
    plan.reach,
    gangs.reduce((most, unit) => Math.max(most, unit.job.input.priority), -Infinity),
    gangs.length,
    -Math.round(plan.share / Math.max(1e-9, state.policy.fairShareMargin)),
    plan.units.reduce((sum, unit) => sum + unit.lostWork, 0),
    plan.units.reduce((sum, unit) => sum + unit.holdings.length, 0),
  ];
}

function cheaper(state: State, a: PreemptionPlan | null, b: PreemptionPlan | null): PreemptionPlan | null {
  if (a === null || b === null) return a ?? b;
  const costA = cost(state, a);
  const costB = cost(state, b);
  for (let i = 0; i < costA.length; i++) if (costA[i] !== costB[i]) return costA[i]! < costB[i]! ? a : b;
  return a;
}

/** One search for victims. Everything it tries on the node table and the quota tree it takes back. */
export class Search {
  readonly #state: State;
  readonly #job: JobRecord;
  readonly #request: Request;
  /** Where each role may go; the leading one has one choice. */
  readonly #choices: readonly (readonly Partition[])[];
  readonly #usage: Usage;
  readonly #within: ReturnType<typeof bounds>;
  /** Where a claim may rest on what else goes: on whom, by queue. */
  #claims: ReadonlyMap<QueueNode, Source> | null = null;
  /** Who would be back at once. */
  readonly #staying = new Set<Unit>();

  constructor(state: State, job: JobRecord, request: Request, choices: readonly (readonly Partition[])[], usage: Usage) {
    this.#state = state;
    this.#job = job;
    this.#request = request;
    this.#choices = choices;
    this.#usage = usage;
    this.#within = bounds(state, job);
  }

  /** `units`: what is to go, in order, where that was found already. */
  run(from: readonly Source[], nearestFirst = false, units: Iterable<Unit> | null = null): PreemptionPlan | null {
    const { freed, version } = this.#state.quota;
    this.#claims = nearestFirst ? new Map(from.map((source) => [source.queue, source])) : null;
    this.#staying.clear();
    let plan: PreemptionPlan | null;
    let staying: number;
    do {
      staying = this.#staying.size;
      plan = this.#search(from, units ?? this.#inOrder(from));
    } while (plan === null && this.#staying.size > staying && this.#staying.size <= MOST_STAYING);
    // What was tried and taken back has freed and changed nothing.
    this.#state.quota.freed = freed;
    this.#state.quota.version = version;
    return plan;
  }

  #search(from: readonly Source[], units: Iterable<Unit>): PreemptionPlan | null {
    const taken: Unit[] = [];
    let placement: Placement | null = null;
    let nextTry = 1;
    for (const unit of units) {
      if (this.#staying.has(unit)) continue;
      giveUp(this.#state, unit);
      taken.push(unit);
      // Failed attempts come ever rarer; what was taken too many is put back afterwards.
      if (taken.length < nextTry || !this.#couldFit()) continue;
      placement = this.#place();
      if (placement !== null) break;
      nextTry = taken.length + Math.max(1, taken.length >> 3);
    }
    if (placement === null && taken.length > 0 && this.#couldFit()) placement = this.#place();
    if (placement === null) {
      for (const unit of taken) takeBack(this.#state, unit);
      return null;
    }
    let kept = this.#putBack(taken, placement);
    if (kept.length > 1 && kept.length <= REFINE_LIMIT) {
      for (const unit of [...kept].reverse()) {
        if (breaksGang(kept, unit)) continue;
        this.#state.placer.untake(placement);
        takeBack(this.#state, unit);
        const rest = kept.filter((u) => u !== unit);
        const other = this.#isJust(unit, rest) ? this.#place() : null;
        if (other === null) {
          giveUp(this.#state, unit);
          this.#state.placer.take(placement);
        } else {
          placement = other;
          kept = rest;
        }
      }
    }
    // Who goes only for the sake of a claim, and has room, would come back at once.
    const own = this.#state.quota.usageOf(chargesOf(placement));
    const returning = this.#claims === null ? undefined : kept.find((unit) => !breaksGang(kept, unit) && this.#hasRoom(unit, own));
    const unjust = returning === undefined ? kept.filter((unit) => this.#couldTakeBack(unit, from, own)) : [];
    this.#state.placer.untake(placement);
    for (const unit of kept) if (unit !== returning) takeBack(this.#state, unit);
    if (returning !== undefined) return null;
    if (unjust.length > 0) {
      for (const unit of unjust) this.#staying.add(unit);
      return null;
    }
    return {
      placement: asAsked(this.#job.request, placement),
      units: kept,
      kinds: new Map(from.map((source) => [source.queue, source.kind])),
      ...this.#asked(from, kept),
    };
  }

  /** Who is asked for whole gangs. */
  #asked(from: readonly Source[], units: readonly Unit[]): Pick<PreemptionPlan, "reach" | "share"> {
    const { quota } = this.#state;
    const dims = quota.countedOf(this.#usage);
    const queues = new Set(units.filter((unit) => !unit.surplus).map((unit) => unit.job.queue));
    const givers = from.filter((source) => !source.own && queues.has(source.queue));
    return {
      reach: givers.reduce((most, source) => Math.max(most, source.height), 0),
      share: givers.reduce((least, source) => Math.min(least, quota.share(source.giver, dims)), Infinity),
    };
  }

  /** Units in the order in which they go. */
  *#inOrder(from: readonly Source[]): Generator<Unit> {
    const { running } = this.#state;
    const heads = from.map((source, index) => ({ source, next: 0, index }));
    const those = (some: readonly Head[], surplus: boolean): Generator<Unit> => inOrder(this.#state, this.#job, this.#usage, some, surplus);
    const own = (head: Head): boolean => head.source.own;
    if (this.#claims !== null) yield* those(heads.filter(own), false);
    // What is above a minimum goes before any gang, wherever it is.
    if (running.elastic.size > 0) {
      const elastic = heads.filter(({ source }) => running.of(source.queue).elastic > 0);
      yield* those(elastic, true);
    }
    yield* those(heads, false);
  }

  #couldFit(): boolean {
    const { quota, placer } = this.#state;
    if (!quota.allows(this.#job.queue, this.#usage)) return false;
    return this.#request.variants[0]!.roles.every((role, i) => this.#choices[i]!.some((partition) => placer.counts(partition, role.shape).total >= role.min));
  }

  #place(): Placement | null {
    const [variant] = this.#request.variants;
    const lead = this.#choices[variant!.roles.indexOf(leadingRole(variant!))]![0]!;
    return place(this.#state.placer, this.#request, { ...this.#within, lead });
  }

  /** Leaves only the units without which this very placement, or the quota for it, would not be there. */
  #putBack(taken: readonly Unit[], placement: Placement): Unit[] {
    const own = this.#state.quota.usageOf(chargesOf(placement));
    let kept = [...taken];
    for (const unit of [...taken].reverse()) {
      if (breaksGang(kept, unit)) continue;
      if (!this.#hasRoom(unit, own)) continue;
      if (this.#isJust(unit, kept)) kept = kept.filter((u) => u !== unit);
      else giveUp(this.#state, unit);
    }
    return kept;
  }

  /** Puts a unit back where that leaves the job its room and its quota. */
  #hasRoom(unit: Unit, own: Usage): boolean {
    const { quota, placer } = this.#state;
    const back = [];
    for (const holding of unit.holdings) {
      if (!placer.nodes.fits(holding)) break;
      placer.nodes.take(holding);
      back.push(holding);
    }
    if (back.length === unit.holdings.length) {
      quota.charge(unit.job.queue, unit.usage);
      if (quota.allows(this.#job.queue, own)) return true;
      quota.refund(unit.job.queue, unit.usage);
    }
    for (const holding of back) placer.nodes.give(holding);
    return false;
  }

  /** Whether each of the others that go could still be asked for, were this one to stay. */
  #isJust(stays: Unit, kept: readonly Unit[]): boolean {
    const claims = this.#claims;
    if (claims === null) return true;
    const { quota } = this.#state;
    return kept.every((unit) => {
      const source = claims.get(unit.job.queue)!;
      if (unit === stays || source.own) return true;
      quota.charge(unit.job.queue, unit.usage);
      const kind = claimOn(this.#state, this.#job, source.taker, source.giver, this.#usage);
      const may = kind !== null && leavesEnough(this.#state, this.#job, source, unit, kind);
      quota.refund(unit.job.queue, unit.usage);
      return may;
    });
  }

  /** Whether a gang that goes for the sake of shares would have the same right to the job's place once that runs. */
  #couldTakeBack(unit: Unit, from: readonly Source[], own: Usage): boolean {
    const { job } = unit;
    const { quota } = this.#state;
    if (unit.surplus || !this.#job.input.preemptible || job.input.priority !== this.#job.input.priority) return false;
    if ((job.queue.input.reclaim ?? "any_priority") !== "any_priority") return false;
    const source = from.find(({ queue }) => queue === job.queue);
    if (source?.kind !== "fair_share") return false;
    quota.charge(this.#job.queue, own);
    const back = claimOn(this.#state, job, source.giver, source.taker, unit.usage);
    quota.refund(this.#job.queue, own);
    return back !== null;
  }
}

/** Members above the minimum cannot stay when the rest of their gang goes, nor lower ranks' turn come last. */
function breaksGang(kept: readonly Unit[], unit: Unit): boolean {
  if (!unit.surplus) return false;
  const mates = kept.filter((other) => other.job === unit.job && other !== unit);
  return mates.some((other) => !other.surplus || (other.role === unit.role && kept.indexOf(other) > kept.indexOf(unit)));
}
