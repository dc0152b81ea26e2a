import type { JobRecord } from './jobs.ts';
import { locality } from './locality.ts';
import { Earmarks } from './earmarks.ts';
import { ahead, QueueCursor, standing } from './order.ts';
import type { Partition } from './partition.ts';
import type { Usage } from './quota.ts';
import type { Request } from './request.ts';
import type { State } from './state.ts';
import { planMoves } from './moves.ts';
import type { Charge, PlaceFailure } from './placer.ts';
import { completeRecovering } from './recover.ts';
import { planPreemption } from './preempt.ts';
import { moveTogether, preempt, type Decided } from './disrupt.ts';
import type { CycleResult } from './types.ts';
import { Heap, type Blocked, type Lane } from './waiting.ts';

/** Searches for victims in one cycle; the rest of the jobs have their turn in the next ones. */
const SEARCHES = 64;

/**
 * One pass over what could have changed. Only lanes with new jobs, or for which room or quota became free since
 * they were last turned down, are looked at; within one pass a request that found no room is not tried again.
 */
export function runCycle(state: State, now: number): CycleResult {
  state.advance(now);
  state.settle();
  state.cycles++;
  const decided: Decided = { starts: [], evictions: [], shrinks: [], grows: [], moves: [] };
  startReserved(state, decided);
  completeRecovering(state, decided);
  const kept = new Earmarks(state);
  let searches = SEARCHES;
  let evaluated = 0;
  let skipped = 0;

  const leads = new Map<Request, Usage>();
  const order = new Heap<QueueCursor>(ahead);
  for (const [queue, lanes] of state.lanes) {
    const open: Lane[] = [];
    for (const lane of lanes.values()) {
      // Some blocked jobs still hold back others: those behind them, or those who would borrow their quota.
      const holdsBack = queue.input.order === 'strict' || (queue.input.reclaim ?? 'any_priority') !== 'any_priority';
      if (!holdsBack && isBlocked(state, lane)) skipped++;
      else open.push(lane);
    }
    const cursor = open.length === 0 ? null : QueueCursor.of(queue, open);
    if (cursor !== null) {
      stand(state, cursor, leads);
      order.push(cursor);
    }
  }

  /** Requests for which there is no room, whatever the queue. */
  const full = new Map<Request, number>();
  for (let cursor = order.pop(); cursor !== undefined; cursor = order.pop()) {
    if (cursor.version !== state.quota.version) {
      stand(state, cursor, leads);
      const rival = order.peek();
      if (rival !== undefined && ahead(rival, cursor)) {
        order.push(cursor);
        continue;
      }
    }
    const { job, lane } = cursor;
    let started = false;
    if (isBlocked(state, lane)) {
      skipped++;
      kept.keep(job, leads.get(job.request)!);
    } else if (full.get(job.request) === state.placer.freedFor(job.request)) {
      block(state, lane, 'capacity', false);
    } else if (behindStrictHead(state, cursor)) {
      block(state, lane, 'order', false);
    } else {
      evaluated++;
      kept.release(job.queue);
      if (tryStart(state, job, decided)) {
        lane.blocked = null;
        started = true;
      } else {
        const { failure, quotaRefused } = state.placer;
        if (searches > 0 && failure !== 'no_pool') {
          searches--;
          started = disturbOthers(state, job, failure, decided);
          if (started) lane.blocked = null;
        }
        if (!started) {
          block(state, lane, failure, quotaRefused);
          if (!quotaRefused) full.set(job.request, state.placer.freedFor(job.request));
          if (failure !== 'no_pool') kept.keep(job, leads.get(job.request)!);
        }
      }
    }
    if (!started && job.queue.input.order === 'strict') blockBehind(cursor, state.placer.partitionsFor(job.request));
    if (cursor.next(started)) order.push(cursor);
  }
  kept.releaseAll();
  return { now, ...decided, evaluated, skipped, waiting: state.waiting + state.reserved.size, wakeAt: state.nextTimer };
}

/** Jobs for which others had to leave start as soon as these have. */
function startReserved(state: State, decided: Decided): void {
  const { nodes } = state.placer;
  for (const job of state.reserved) {
    if (job.awaits.size > 0 || job.leaving !== null) continue;
    const usable = job.placement!.roles.every(({ members }) => members.every(({ node }) => nodes.schedulable[node] === 1));
    if (usable) begin(state, job, decided);
    else state.requeue(job);
  }
}

function begin(state: State, job: JobRecord, decided: Decided): void {
  state.run(job, state.now);
  decided.starts.push(state.startOf(job, locality(state.placer, job.request, job.placement!)));
}

/** Takes room that is free, if possible without waiting for those who are leaving. */
function tryStart(state: State, job: JobRecord, decided: Decided): boolean {
  const allowed = (charges: readonly Charge[]): boolean => state.quota.allows(job.queue, state.quota.usageOf(charges));
  let placement = state.leaving.size === 0 ? null : state.placer.place(job.request, { allowed, avoid: state.leaving.nodes() });
  placement ??= state.placer.place(job.request, { allowed });
  if (placement === null) return false;
  state.occupy(job, placement, state.now);
  if (job.state === 'running') decided.starts.push(state.startOf(job, locality(state.placer, job.request, placement)));
  return true;
}

/** Moves running jobs together, or evicts some, so that the job gets its place. */
function disturbOthers(state: State, job: JobRecord, failure: PlaceFailure, decided: Decided): boolean {
  const moves = failure === 'capacity' && state.policy.consolidation ? planMoves(state, job) : null;
  if (moves !== null) {
    moveTogether(state, job, moves, decided);
    return true;
  }
  const plan = planPreemption(state, job);
  if (plan !== null) preempt(state, job, plan, decided);
  return plan !== null;
}

function stand(state: State, cursor: QueueCursor, leads: Map<Request, Usage>): void {
  const { request } = cursor.job;
  let usage = leads.get(request);
  if (usage === undefined) {
    usage = leadUsage(state, request);
    leads.set(request, usage);
  }
  cursor.version = state.quota.version;
  cursor.standing = standing(state.quota, cursor.job, usage, () => 0);
}

/** What the request would use in the place it prefers. */
function leadUsage(state: State, request: Request): Usage {
  const variant = request.variants[0]!;
  const charges = variant.roles.flatMap((role) => {
    const partition = state.placer.matching(variant, role)[0];
    return partition === undefined ? [] : [{ partition, shape: role.shape, members: role.min }];
  });
  return state.quota.usageOf(charges);
}

function block(state: State, lane: Lane, kind: Blocked['kind'], byQuota: boolean): void {
  if (lane.blocked?.kind !== kind) lane.blockedSince = state.now;
  lane.blocked = { kind, byQuota, capacityFreed: state.placer.freedFor(lane.request), quotaFreed: state.quota.freed };
}

/** Nothing that the lane failed for has changed since. */
function isBlocked(state: State, lane: Lane): boolean {
  const { blocked } = lane;
  return blocked !== null && blocked.kind !== 'order' && blocked.capacityFreed === state.placer.freedFor(lane.request) &&
    (!blocked.byQuota || blocked.quotaFreed === state.quota.freed);
}

const strictBlocks = new WeakMap<QueueCursor, Set<Partition>>();

function blockBehind(cursor: QueueCursor, partitions: readonly Partition[]): void {
  const blocked = strictBlocks.get(cursor) ?? new Set();
  for (const partition of partitions) blocked.add(partition);
  strictBlocks.set(cursor, blocked);
}

/** In a strict queue, an earlier job waits for the same hardware. */
function behindStrictHead(state: State, cursor: QueueCursor): boolean {
  const blocked = strictBlocks.get(cursor);
  return blocked !== undefined && state.placer.partitionsFor(cursor.job.request).some((partition) => blocked.has(partition));
}
