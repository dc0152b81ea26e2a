import type { CycleResult } from "./decisions.ts";
import { moveTogether, preempt, stop, type Decided } from "./disrupt.ts";
import { couldEverStart } from "./empty-cluster.ts";
import { Earmarks } from "./earmarks.ts";
import { moveBySpeed } from "./by-speed.ts";
import { growElastic } from "./grow.ts";
import type { JobRecord } from "./jobs.ts";
import { durations } from "./learned.ts";
import { locality } from "./locality.ts";
import { planMoves, planStopsAndMoves } from "./moves.ts";
import { ahead, QueueCursor, stand } from "./order.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import type { Placement } from "./placement.ts";
import type { PlaceFailure } from "./placer.ts";
import { occupy, requeue, run, startOf } from "./places.ts";
import { planPreemption } from "./preempt.ts";
import { crossesZones, preferenceOf, refreshPrices } from "./preference.ts";
import type { QueueNode, Usage } from "./quota.ts";
import { completeRecovering } from "./recover.ts";
import type { Request } from "./request.ts";
import { byService } from "./service.ts";
import type { State } from "./state.ts";
import { Heap, type Blocked, type Lane } from "./waiting.ts";
import { bounds } from "./windows.ts";

/** Searches for victims in one cycle, and what these try to take; the other jobs have their turn in the next ones. */
const SEARCHES = 64;
const TRIED = 2048;
/**
 * Looks at all running jobs in one cycle of every few, for moves, for the cheapest nodes to clear, or for a date.
 * Where fewer jobs run than `SMALL`, they cost nothing and are not counted.
 */
const THOROUGH = 1;
const THOROUGH_EVERY = 4;
const SMALL = 1000;
/** When a job that was not searched for thoroughly is looked at again. */
const TURN_MS = 1000;
/** When a job that goes by service looks again for running ones that come after it by now. */
const SERVICE_MS = 60_000;
/** Longest pause, in cycles, between two searches for one lane where there are more lanes than searches. */
const LONGEST_PAUSE = 64;

/**
 * One pass over what could have changed. Only lanes with new jobs, or for which room or quota became free since
 * they were last turned down, are looked at; within one pass a request that found no room is not tried again.
 */
export function runCycle(state: State, now: number): CycleResult {
  state.advance(now);
  state.settle();
  state.cycles++;
  state.tried = 0;
  state.dated.prune();
  return new Cycle(state).run();
}

class Cycle {
  readonly #state: State;
  readonly #decided: Decided = { starts: [], evictions: [], shrinks: [], grows: [], moves: [] };
  readonly #kept: Earmarks;
  readonly #past: (queue: QueueNode) => number;
  /** Requests for which there is no room, whatever the queue, with the `freed` at which that was so. */
  readonly #full = new Map<Request, number>();
  readonly #strict = new Map<QueueNode, Set<Partition>>();
  #crowded = false;
  #searches = SEARCHES;
  #thorough = THOROUGH;
  #owed = Infinity;
  /** When the first of them has its turn. */
  #turn = Infinity;
  #evaluated = 0;
  #skipped = 0;

  constructor(state: State) {
    this.#state = state;
    this.#kept = new Earmarks(state);
    this.#past = (queue) => state.pastUse(queue);
  }

  run(): CycleResult {
    const state = this.#state;
    this.#startReserved();
    completeRecovering(state, this.#decided);
    this.#turn = Math.min(this.#turn, refreshPrices(state));
    if (state.policy.consolidation) moveBySpeed(state, this.#decided);
    let order = this.#openLanes();
    let narrowed = false;
    for (let cursor = order.pop(); cursor !== undefined; cursor = order.pop()) {
      if (cursor.version !== state.quota.version) {
        this.#stand(cursor);
        const rival = order.peek();
        if (rival !== undefined && ahead(rival, cursor)) {
          order.push(cursor);
          continue;
        }
      }
      if (this.#searches === 0 && !narrowed) {
        narrowed = true;
        order.push(cursor);
        order = this.#onlyFitting(order);
        continue;
      }
      const { job, lane } = cursor;
      const started = this.#consider(job, lane);
      if (!started && job.queue.input.order === "strict" && couldEverStart(state, lane)) this.#blockBehind(job);
      if (cursor.next(started ? lane.head() : this.#shorter(job, lane))) order.push(cursor);
    }
    this.#kept.releaseAll();
    growElastic(state, this.#decided);
    return {
      now: state.now,
      ...this.#decided,
      evaluated: this.#evaluated,
      skipped: this.#skipped,
      waiting: state.waiting + state.reserved.size,
      wakeAt: state.wakeAt(this.#turn),
    };
  }

  /** Jobs for which others had to leave start as soon as these have. */
  #startReserved(): void {
    const state = this.#state;
    const { nodes } = state.placer;
    for (const job of state.reserved) {
      if (job.awaits.size > 0 || job.leaving !== null) continue;
      const usable = job.placement!.roles.every(({ members }) => members.every(({ node }) => nodes.schedulable[node] === 1));
      if (!usable) requeue(state, job);
      else {
        run(state, job, state.now);
        this.#started(job);
      }
    }
  }

  #openLanes(): Heap<QueueCursor> {
    const state = this.#state;
    const byQueue = new Map<QueueNode, Lane[]>();
    const couldFit = new Map<Request, boolean>();
    let open = 0;
    for (const [queue, lanes] of state.lanes) {
      const holdsBack = holdsOthersBack(queue);
      const list: Lane[] = [];
      const goesByService = byService(queue);
      for (const lane of lanes.values()) {
        if (goesByService) state.service.refresh(lane, state.now);
        if (!holdsBack && this.#isBlocked(lane)) {
          this.#skipped++;
          continue;
        }
        if (!holdsBack && state.crowded && lane.searchFrom > state.cycles) {
          // Not noted as turned down: it is looked at again when its turn comes, whatever changes until then.
          if (!this.#couldFit(lane.request, couldFit)) {
            this.#skipped++;
            continue;
          }
        }
        list.push(lane);
      }
      open += list.length;
      if (list.length > 0) byQueue.set(queue, list);
    }
    this.#crowded = open > SEARCHES;
    state.crowded = this.#crowded || (state.crowded && this.#skipped > SEARCHES);
    const order = new Heap<QueueCursor>(ahead);
    for (const [queue, list] of byQueue) {
      const cursor = QueueCursor.of(queue, list);
      if (cursor === null) continue;
      this.#stand(cursor);
      this.#kept.keep(cursor.job, this.#leadUsage(cursor.job.request));
      order.push(cursor);
    }
    return order;
  }

  /** Where no victims are looked for any more: only those matter that have room by numbers, or hold back others. The rest has its turn later. */
  #onlyFitting(order: Heap<QueueCursor>): Heap<QueueCursor> {
    const state = this.#state;
    const known = new Map<Request, boolean>();
    const fitting = new Heap<QueueCursor>(ahead);
    const passes = (lane: Lane): boolean => {
      if (holdsOthersBack(lane.queue) || this.#couldFit(lane.request, known)) return true;
      this.#skipped++;
      this.#turn = Math.min(this.#turn, state.now + TURN_MS);
      if (lane.blocked === null) {
        this.#block(lane, "capacity", false);
        lane.blocked!.until = state.now;
      }
      return false;
    };
    for (const cursor of order.values()) {
      if (!cursor.keep(passes)) continue;
      this.#stand(cursor);
      fitting.push(cursor);
    }
    return fitting;
  }

  #couldFit(request: Request, known: Map<Request, boolean>): boolean {
    let fits = known.get(request);
    if (fits === undefined) {
      fits = this.#state.placer.couldFit(request);
      known.set(request, fits);
    }
    return fits;
  }

  /** Starts a job, or makes room for it, or notes why not. */
  #consider(job: JobRecord, lane: Lane): boolean {
    const state = this.#state;
    if (job !== lane.head()) {
      if (!this.#tryStart(job)) return false;
      lane.opened();
      return true;
    }
    if (this.#isBlocked(lane)) {
      this.#skipped++;
      this.#kept.keep(job, this.#leadUsage(job.request));
      return false;
    }
    if (this.#behindStrictHead(job)) {
      this.#block(lane, "order", false);
      return false;
    }
    this.#evaluated++;
    this.#kept.release(job.queue);
    const freed = state.placer.freedFor(job.request);
    let failure: PlaceFailure = "capacity";
    let byQuota = false;
    const { blocked } = lane;
    // Where it looks again only for whom it may push out, there is still no room.
    const noRoom =
      byService(job.queue) && blocked?.kind === "capacity" && !blocked.byQuota && blocked.capacityFreed === freed && blocked.prices === pricesFor(state, lane);
    if (noRoom) this.#full.set(job.request, freed);
    if (this.#full.get(job.request) !== freed) {
      if (this.#tryStart(job)) {
        lane.opened();
        return true;
      }
      ({ failure } = state.placer);
      byQuota = state.placer.quotaRefused;
      if (!byQuota && state.dated.size === 0 && state.windows.size === 0) this.#full.set(job.request, freed);
    }
    if (failure !== "no_pool" && this.#disturbOthers(job, lane, failure)) {
      lane.opened();
      return true;
    }
    this.#block(lane, failure, byQuota);
    if (failure !== "no_pool") this.#kept.keep(job, this.#leadUsage(job.request));
    return false;
  }

  /**
   * Where nodes are kept for others from some time on, a job of the lane that ends sooner may fit though its head did not: their
   * times are alike only up to a factor of two.
   */
  #shorter(job: JobRecord, lane: Lane): JobRecord | null {
    const state = this.#state;
    if (lane.size < 2 || job.queue.input.order === "strict" || !this.#isTimed()) return null;
    const { learned } = state;
    const { likely, longest } = durations(job, learned);
    if (likely === Infinity) return null;
    return lane.firstWhere((other) => {
      const own = durations(other, learned);
      return own.likely < likely || own.longest < longest;
    });
  }

  /** Whether it matters for where a job may start how long it runs. */
  #isTimed(): boolean {
    const { dated, windows, placer } = this.#state;
    if (dated.size > 0 || windows.size > 0) return true;
    for (const pool of placer.pools.values()) if (pool.leaseEnd !== undefined) return true;
    return false;
  }

  /** Takes room that is free, if possible without waiting for those who are leaving. */
  #tryStart(job: JobRecord): boolean {
    const state = this.#state;
    const held = [...state.dated.avoidedBy(job)];
    let placement = state.leaving.size === 0 ? null : this.#place(job, [...held, ...state.leaving.nodes()]);
    placement ??= this.#place(job, held);
    if (placement === null) return false;
    occupy(state, job, placement, state.now);
    if (job.state === "running") this.#started(job);
    return true;
  }

  #place(job: JobRecord, held: readonly number[]): Placement | null {
    const state = this.#state;
    const cost = preferenceOf(state, job);
    const { avoid, ...within } = bounds(state, job);
    return place(state.placer, crossesZones(state, job.request), { ...within, avoid: [...avoid, ...held], ...(cost === null ? {} : { cost }) });
  }

  /** Moves running jobs together, or evicts some, so that the job gets its place. */
  #disturbOthers(job: JobRecord, lane: Lane, failure: PlaceFailure): boolean {
    const state = this.#state;
    if (this.#searches === 0 || (this.#crowded && lane.searchFrom > state.cycles)) return false;
    this.#searches = this.#crowded && state.tried > TRIED ? 0 : this.#searches - 1;
    this.#owed = Infinity;
    if (failure === "capacity" && state.policy.consolidation && this.#mayBeThorough(job)) {
      const moves = planMoves(state, job);
      if (moves.searched) this.#thorough--;
      if (moves.plan !== null) {
        moveTogether(state, job, moves.plan, this.#decided);
        return true;
      }
    }
    const plan = planPreemption(state, job, this.#mayBeThorough(job));
    const fewer = byService(job.queue) && state.policy.consolidation ? planStopsAndMoves(state, job, plan) : null;
    if (fewer !== null) {
      stop(state, job, fewer.stops, "priority", this.#decided);
      moveTogether(state, job, fewer.moves, this.#decided);
      return true;
    }
    if (plan !== null) {
      preempt(state, job, plan, this.#decided);
      return true;
    }
    if (byService(job.queue)) this.#owe(SERVICE_MS);
    else if (failure === "capacity" && state.policy.backfill === "dated" && this.#mayBeThorough(job) && state.dated.make(job)) this.#thorough--;
    lane.pause = Math.min(LONGEST_PAUSE, Math.max(1, lane.pause * 2));
    lane.searchFrom = state.cycles + lane.pause;
    return false;
  }

  #mayBeThorough(job: JobRecord): boolean {
    if (this.#state.holding.size < SMALL) return true;
    if (job.request.variants.every(({ roles }) => roles.every(({ min, shape }) => min * shape.devices <= 1))) return false;
    const may = this.#thorough > 0 && this.#state.cycles % THOROUGH_EVERY === 0;
    // Its turn is still to come, though nothing else changes.
    if (!may) this.#owe(TURN_MS);
    return may;
  }

  #owe(pause: number): void {
    this.#owed = Math.min(this.#owed, this.#state.now + pause);
    this.#turn = Math.min(this.#turn, this.#owed);
  }

  #started(job: JobRecord): void {
    const state = this.#state;
    this.#decided.starts.push(startOf(state, job, locality(state.placer, job.request, job.placement!)));
  }

  #stand(cursor: QueueCursor): void {
    const { quota } = this.#state;
    cursor.version = quota.version;
    const { freed, version } = quota;
    // What is kept for a queue is no use of it where it is compared with others.
    const kept = this.#kept.of(cursor.queue);
    if (kept !== undefined) quota.refund(cursor.queue, kept);
    stand(cursor.standing, quota, cursor.job, this.#leadUsage(cursor.job.request), this.#past);
    if (kept === undefined) return;
    quota.charge(cursor.queue, kept);
    quota.freed = freed;
    quota.version = version;
  }

  #leadUsage(request: Request): Usage {
    return this.#state.leadUsage(request);
  }

  #block(lane: Lane, kind: Blocked["kind"], byQuota: boolean): void {
    const state = this.#state;
    if (lane.blocked?.kind !== kind) lane.blockedSince = state.now;
    // Most lanes are turned down in most cycles: what they were turned down for before is written over.
    lane.blocked ??= { kind, byQuota, capacityFreed: 0, quotaFreed: 0, version: 0, prices: 0, until: 0 };
    const { blocked } = lane;
    blocked.kind = kind;
    blocked.byQuota = byQuota;
    blocked.capacityFreed = state.placer.freedFor(lane.request);
    blocked.quotaFreed = state.quota.freed;
    blocked.version = state.quota.version;
    blocked.prices = pricesFor(state, lane);
    blocked.until = Math.min(state.protectedUntil, this.#owed);
  }

  /** Nothing that the lane was turned down for has changed since. */
  #isBlocked(lane: Lane): boolean {
    const { blocked } = lane;
    const state = this.#state;
    return (
      blocked !== null &&
      blocked.kind !== "order" &&
      blocked.capacityFreed === state.placer.freedFor(lane.request) &&
      // What is too slow today may be worth having when the fast devices are wanted more.
      blocked.prices === pricesFor(state, lane) &&
      (!blocked.byQuota || blocked.quotaFreed === state.quota.freed) &&
      state.now < blocked.until &&
      // Where searches have to take turns anyway, changed shares alone are no reason for one.
      (state.crowded || blocked.version === state.quota.version)
    );
  }

  #blockBehind(job: JobRecord): void {
    const blocked = this.#strict.get(job.queue) ?? new Set();
    for (const partition of this.#state.placer.partitionsFor(job.request)) blocked.add(partition);
    this.#strict.set(job.queue, blocked);
  }

  /** In a strict queue, an earlier job waits for the same hardware. */
  #behindStrictHead(job: JobRecord): boolean {
    const blocked = this.#strict.get(job.queue);
    return blocked !== undefined && this.#state.placer.partitionsFor(job.request).some((partition) => blocked.has(partition));
  }
}

/** Whether jobs of it that are blocked hold back others: those behind them, or those who would borrow their quota. */
function holdsOthersBack({ input }: QueueNode): boolean {
  return input.order === "strict" || (input.reclaim ?? "any_priority") !== "any_priority";
}

/** The version of the prices that its jobs go by; 0 where they go by none. */
function pricesFor(state: State, lane: Lane): number {
  return lane.request.policy === "fastest" ? state.scarcity.version : 0;
}
