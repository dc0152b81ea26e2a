import { startSeconds } from "./trace.ts";
import type { MuriJob } from "./trace.ts";

/**
 * The published simulator's own rules ("event" overhead: every running job loses its start time at every event),
 * kept apart from our engine: they exist to show that our reading of the schedulers is theirs.
 */
export type ParityPolicy = "SRTF" | "SRSF" | "Tiresias_L";

const NODES = 8;
const NODE_DEVICES = 8;
/** Attained device-seconds at which Tiresias-L moves a job to its second and third queue. */
const QUEUE_LIMITS = [3250, 7200];

interface Active {
  job: MuriJob;
  overhead: number;
  remaining: number;
  executed: number;
  checkedAt: number;
  running: boolean;
  queue: number;
}

/** Completion time of every job in seconds from its submission, in the order of `jobs`. */
export function parityRun(jobs: readonly MuriJob[], policy: ParityPolicy): number[] {
  return policy === "Tiresias_L" ? leastAttained(jobs) : shortestFirst(jobs, policy === "SRSF");
}

function activate(job: MuriJob): Active {
  const overhead = startSeconds(job.model, job.devices);
  return { job, overhead, remaining: job.iterations, executed: 0, checkedAt: job.submit, running: false, queue: 0 };
}

function advance(active: readonly Active[], now: number): void {
  for (const a of active) {
    const before = a.checkedAt;
    a.checkedAt = now;
    if (!a.running) continue;
    a.remaining -= Math.max(now - before - a.overhead, 0) / a.job.iterationTime;
    // In this order of operations a job lands exactly on its queue limit; in another it may never reach it.
    a.executed = a.executed + now - before;
  }
}

/** The earliest end among the running jobs, and all jobs that end at that very instant. */
function nextEnd(active: readonly Active[], now: number): { time: number; ending: Set<Active> } {
  let time = Infinity;
  let ending = new Set<Active>();
  for (const a of active) {
    if (!a.running) continue;
    const end = now + a.remaining * a.job.iterationTime;
    if (end < time) {
      time = end;
      ending = new Set([a]);
    } else if (end === time) ending.add(a);
  }
  return { time, ending };
}

function shortestFirst(jobs: readonly MuriJob[], byService: boolean): number[] {
  const jct = new Map<MuriJob, number>();
  let active: Active[] = [];
  let next = 0;
  let end: { time: number; ending: Set<Active> } = { time: Infinity, ending: new Set() };
  while (next < jobs.length || active.length > 0) {
    const start = jobs[next]?.submit ?? Infinity;
    const now = Math.min(start, end.time);
    if (end.time <= start) active = finish(active, end.ending, now, jct);
    while (next < jobs.length && jobs[next]!.submit === now) active.push(activate(jobs[next++]!));
    advance(active, now);
    const key = (a: Active): number => a.remaining * a.job.iterationTime * (byService ? a.job.devices : 1);
    active.sort((a, b) => key(a) - key(b));
    const free = Array.from({ length: NODES }, () => NODE_DEVICES);
    for (const a of active) a.running = placeFirstFit(free, a.job.devices);
    end = nextEnd(active, now);
  }
  return jobs.map((job) => jct.get(job)!);
}

function leastAttained(jobs: readonly MuriJob[]): number[] {
  const jct = new Map<MuriJob, number>();
  let queues: Active[][] = [[], [], []];
  let next = 0;
  let jump = Infinity;
  let end: { time: number; ending: Set<Active> } = { time: Infinity, ending: new Set() };
  while (next < jobs.length || queues.some((queue) => queue.length > 0)) {
    const start = jobs[next]?.submit ?? Infinity;
    const event = Math.min(start, end.time);
    const now = Math.min(event, jump);
    if (event <= jump) {
      if (end.time <= start) queues = queues.map((queue) => finish(queue, end.ending, now, jct));
      while (next < jobs.length && jobs[next]!.submit === now) queues[0]!.push(activate(jobs[next++]!));
    }
    advance(queues.flat(), now);
    queues = demote(queues);
    let free = NODES * NODE_DEVICES;
    for (const a of queues.flat()) {
      a.running = free >= a.job.devices;
      if (a.running) free -= a.job.devices;
    }
    queues = queues.map((queue) => [...queue.filter((a) => a.running), ...queue.filter((a) => !a.running)]);
    const all = queues.flat();
    end = nextEnd(all, now);
    jump = Infinity;
    for (const a of all) {
      const limit = QUEUE_LIMITS[a.queue];
      if (a.running && limit !== undefined) jump = Math.min(jump, Math.ceil(limit / a.job.devices) - a.executed + now);
    }
  }
  return jobs.map((job) => jct.get(job)!);
}

/** Moves a job at most one queue down at a time, to that queue's end. */
function demote(queues: readonly Active[][]): Active[][] {
  const moved: Active[][] = [[], [], []];
  for (const a of queues.flat()) {
    const limit = QUEUE_LIMITS[a.queue];
    if (!a.running || limit === undefined || a.executed * a.job.devices < limit - 1e-6) continue;
    a.queue++;
    moved[a.queue]!.push(a);
  }
  return queues.map((queue, q) => [...queue.filter((a) => a.queue === q), ...moved[q]!]);
}

function finish(active: Active[], ending: ReadonlySet<Active>, now: number, jct: Map<MuriJob, number>): Active[] {
  return active.filter((a) => {
    if (!ending.has(a)) return true;
    jct.set(a.job, now - a.job.submit);
    return false;
  });
}

/** First node with room for up to 8 devices; above that, whole idle nodes and one more for the rest. */
function placeFirstFit(free: number[], devices: number): boolean {
  if (devices <= NODE_DEVICES) {
    const node = free.findIndex((f) => f >= devices);
    if (node >= 0) free[node]! -= devices;
    return node >= 0;
  }
  const wanted = Math.floor(devices / NODE_DEVICES);
  const idle = free.flatMap((f, node) => (f === NODE_DEVICES ? [node] : [])).slice(0, wanted);
  const rest = devices % NODE_DEVICES;
  const last = rest === 0 ? -1 : free.findIndex((f, node) => f >= rest && !idle.includes(node));
  if (idle.length < wanted || (rest > 0 && last < 0)) return false;
  for (const node of idle) free[node] = 0;
  if (last >= 0) free[last]! -= rest;
  return true;
}
