import { freeDevices } from "./capacity.ts";
import { earliestStart } from "./dated.ts";
import { couldEverStart } from "./empty-cluster.ts";
import type { StartEstimate, WaitReason } from "./explanation.ts";
import type { JobRecord } from "./jobs.ts";
import { durations } from "./learned.ts";
import type { Partition } from "./partition.ts";
import type { QueueNode } from "./quota.ts";
import type { State } from "./state.ts";
import { before, Heap } from "./waiting.ts";

/** Jobs between two looks at the clock. */
const STRIDE = 256;
/** How long an estimate of the background pass is given as it is. */
const FRESH_MS = 60_000;

const KINDS = ["likely", "longest"] as const;
type Kind = (typeof KINDS)[number];

/** Jobs that come first, with the device-milliseconds they will take. */
export interface WorkAhead {
  jobs: number;
  devices: number;
  work: Record<Kind, number>;
}

function devicesOf(job: JobRecord): number {
  let devices = 0;
  for (const { min, shape } of job.request.variants[0]!.roles) devices += min * (shape.devices + shape.share / 1000);
  return devices;
}

/** When a job will start, with what that rests on: the last pass over all jobs, or the work ahead of it. */
export function estimateOf(state: State, job: JobRecord, reason: WaitReason, first: WorkAhead): StartEstimate {
  const unknown = (basis: string): StartEstimate => ({ p50: null, p90: null, basis });
  if (reason === "waiting_for_preemption" && job.awaits.size > 0) {
    let grace = 0;
    for (const other of job.awaits) grace = Math.max(grace, other.input.checkpoint?.grace ?? 0);
    return { p50: state.now + grace, p90: state.now + grace, basis: "jobs that leave for it use all of their grace" };
  }
  if (reason !== "insufficient_capacity" && reason !== "topology_fragmented" && reason !== "behind_higher_priority") {
    return unknown("unknown: nothing tells when this reason ends");
  }
  if (first.jobs === 0 || devicesOf(job) === 0) return alone(state, job);
  const { estimate } = job;
  if (estimate !== null && state.now - estimate.at <= FRESH_MS) {
    if (estimate.likely === Infinity) return unknown("unknown: too many of the jobs that run or are ahead of it have no expected run time");
    return {
      p50: Math.max(state.now, estimate.likely),
      p90: estimate.longest === Infinity ? null : Math.max(state.now, estimate.longest),
      basis: "all jobs that run or are ahead of it, one after the other, end as expected (p50) or at their limits (p90)",
    };
  }
  const likely = afterWork(state, job, first, "likely");
  if (likely === null) return unknown("unknown: too many of the jobs that run or are ahead of it have no expected run time");
  const longest = afterWork(state, job, first, "longest");
  return {
    p50: likely,
    p90: longest === null ? null : Math.max(likely, longest),
    basis: `the work of what runs and of ${first.jobs} jobs ahead of it, by expected run times (p50) or limits (p90)`,
  };
}

/** When enough of what runs will have ended, for a job that is next. */
function alone(state: State, job: JobRecord): StartEstimate {
  const likely = state.dated.get(job) ?? earliestStart(state, job, "likely");
  if (likely === null) return { p50: null, p90: null, basis: "unknown: too many of the running jobs have no expected run time" };
  const longest = earliestStart(state, job, "longest");
  return {
    p50: likely.at,
    p90: longest === null ? null : Math.max(longest.at, likely.at),
    basis: "running jobs end as expected (p50) or at their limits (p90), and no job is ahead of it",
  };
}

interface End {
  at: number;
  devices: number;
}

/** What runs in a partition: when it ends, in order, and what it still takes; without what has no known end. */
interface Ends {
  list: End[];
  devices: number;
  work: number;
}

function endsOf(state: State): Record<Kind, Map<Partition, Ends>> {
  const found: Record<Kind, Map<Partition, Ends>> = { likely: new Map(), longest: new Map() };
  for (const [job, end] of state.running.ending) {
    for (const { partition, role, members } of job.placement!.roles) {
      const devices = members.length * (role.shape.devices + role.shape.share / 1000);
      for (const kind of devices === 0 ? [] : KINDS) {
        if (end[kind] === Infinity) continue;
        let ends = found[kind].get(partition);
        if (ends === undefined) found[kind].set(partition, (ends = { list: [], devices: 0, work: 0 }));
        const at = Math.max(state.now, end[kind]);
        ends.list.push({ at, devices });
        ends.devices += devices;
        ends.work += devices * (at - state.now);
      }
    }
  }
  for (const kind of KINDS) for (const { list } of found[kind].values()) list.sort((a, b) => a.at - b.at);
  return found;
}

/**
 * When the job's turn comes if devices are never idle: at the end that makes room for all ahead of it and itself, or,
 * where what runs now does not suffice for that, when the work of all of them is done.
 */
function afterWork(state: State, job: JobRecord, ahead: WorkAhead, kind: Kind): number | null {
  const partitions = state.placer.partitionsFor(job.request);
  let free = 0;
  for (const partition of partitions) free += freeDevices(state, partition);
  let running = 0;
  let work = 0;
  const known = partitions.flatMap((partition) => state.estimates.ends()[kind].get(partition) ?? []);
  for (const ends of known) {
    running += ends.devices;
    work += ends.work;
  }
  const needed = ahead.devices + devicesOf(job);
  if (running === 0 || free + running < devicesOf(job)) return null;
  if (needed > free + running) return ahead.work[kind] === Infinity ? null : state.now + (work + ahead.work[kind]) / (free + running);
  const ends = known.length === 1 ? known[0]!.list : known.flatMap(({ list }) => list).sort((a, b) => a.at - b.at);
  let at = state.now;
  // Where it is free already, but not in the places that it needs, the next end may change that.
  for (const end of ends) {
    at = end.at;
    free += end.devices;
    if (free >= needed) break;
  }
  return at;
}

/** One partition in the simulation: jobs start in turn, each when enough devices are free. */
class Lineup {
  readonly ends = new Heap<End>((a, b) => a.at < b.at);
  free: number;
  now: number;

  constructor(free: number, now: number) {
    this.free = free;
    this.now = now;
  }

  /** Goes on to when so many devices are free; infinity where that never happens. */
  waitFor(devices: number): number {
    while (this.free < devices) {
      const end = this.ends.pop();
      if (end === undefined) return Infinity;
      this.free += end.devices;
      this.now = Math.max(this.now, end.at);
    }
    return this.now;
  }

  start(devices: number, duration: number): void {
    this.free -= devices;
    if (duration < Infinity) this.ends.push({ at: this.now + duration, devices });
  }
}

interface Turn {
  jobs: JobRecord[];
  next: number;
  weight: number;
  share: number;
}

/** Priority, then the smaller share of what was given out, then the earlier job: the order of the cycle in short. */
function comesFirst(a: Turn, b: Turn): boolean {
  const x = a.jobs[a.next]!;
  const y = b.jobs[b.next]!;
  if (x.input.priority !== y.input.priority) return x.input.priority > y.input.priority;
  if (a.share !== b.share) return a.share < b.share;
  return before(x, y);
}

/**
 * Plays all waiting jobs through, as of one instant, twice: by likely and by longest run times. Devices are counted
 * by partition; the fabric, quota and backfill are left out. Yields where it may pause.
 */
function* pass(state: State): Generator<void> {
  const at = state.now;
  const likely = new Map<JobRecord, number>();
  const running = endsOf(state);
  yield;
  for (const kind of KINDS) {
    const lineups = new Map<Partition, Lineup>();
    for (const partition of state.placer.partitions) {
      const lineup = new Lineup(freeDevices(state, partition), at);
      lineups.set(partition, lineup);
      for (const [i, end] of (running[kind].get(partition)?.list ?? []).entries()) {
        lineup.ends.push(end);
        if (i % STRIDE === 0) yield;
      }
    }
    const turns = new Heap<Turn>(comesFirst);
    for (const [queue, lanes] of state.lanes) {
      const jobs: JobRecord[] = [];
      for (const lane of lanes.values()) {
        if (couldEverStart(state, lane)) for (const job of lane.jobs()) jobs.push(job);
        yield;
      }
      if (jobs.length === 0) continue;
      jobs.sort((a, b) => (before(a, b) ? -1 : 1));
      turns.push({ jobs, next: 0, weight: queue.weight, share: heldBy(state, queue) / queue.weight });
      yield;
    }
    for (let count = 1, turn = turns.pop(); turn !== undefined; turn = turns.pop(), count++) {
      const job = turn.jobs[turn.next++]!;
      const devices = devicesOf(job);
      const start = startIn(state, job, devices, lineups, kind);
      if (kind === "likely") likely.set(job, start);
      else if (job.state === "waiting") job.estimate = { at, likely: likely.get(job) ?? start, longest: Math.max(start, likely.get(job) ?? start) };
      turn.share += devices / turn.weight;
      if (turn.next < turn.jobs.length) turns.push(turn);
      if (count % STRIDE === 0) yield;
    }
  }
}

function heldBy(state: State, queue: QueueNode): number {
  let devices = 0;
  for (const job of state.running.of(queue).jobs) devices += devicesOf(job);
  return devices;
}

/** Puts the job on the first partition that has room, else on the one that has got least far. */
function startIn(state: State, job: JobRecord, devices: number, lineups: ReadonlyMap<Partition, Lineup>, kind: Kind): number {
  let chosen: Lineup | undefined;
  for (const partition of state.placer.partitionsFor(job.request)) {
    const lineup = lineups.get(partition);
    if (lineup === undefined || partition.totalDevices < devices) continue;
    if (lineup.free >= devices) {
      chosen = lineup;
      break;
    }
    if (chosen === undefined || lineup.now < chosen.now) chosen = lineup;
  }
  if (chosen === undefined) return Infinity;
  const start = chosen.waitFor(devices);
  if (start < Infinity) chosen.start(devices, durations(job, state.learned)[kind]);
  return start;
}

/** The pass over all waiting jobs, a slice at a time. */
export class Estimates {
  readonly #state: State;
  #pass: Generator<void> | null = null;
  #ends: { cycle: number; at: number; ends: Record<Kind, Map<Partition, Ends>> } | null = null;

  constructor(state: State) {
    this.#state = state;
  }

  /** Ends of what runs, as of the last cycle. */
  ends(): Record<Kind, Map<Partition, Ends>> {
    const { cycles, now } = this.#state;
    if (this.#ends?.cycle !== cycles || this.#ends.at !== now) this.#ends = { cycle: cycles, at: now, ends: endsOf(this.#state) };
    return this.#ends.ends;
  }

  /** Works until the budget is used up; true when a pass is complete, and the next call begins another. */
  advance(budgetMs: number, clock: () => number): boolean {
    const until = clock() + budgetMs;
    this.#pass ??= pass(this.#state);
    while (this.#pass.next().done !== true) if (clock() >= until) return false;
    this.#pass = null;
    return true;
  }
}
