import { stand } from "./floor.ts";
import type { Standing } from "./floor.ts";
import { WaitingJobs } from "./waiting-jobs.ts";
import type { OrderedJob } from "@muster/placement/ordering/job";
import type { Decision, Scheduler, SimFloor, SimJob } from "./simulation.ts";

type Key = (job: OrderedJob) => number;

/** Strict first in, first out: the head blocks all behind it. */
export function fifo(): Scheduler {
  const queue: SimJob[] = [];
  return {
    submitted: (job) => void queue.push(job),
    finished: () => {},
    decide(_now, floor) {
      const free = floor.free.slice();
      const start: { job: SimJob; standing: Standing }[] = [];
      for (;;) {
        const head = queue[0];
        const standing = head && stand(free, floor.nodeDevices, head.job.devices);
        if (!head || !standing) return { preempt: [], start };
        take(free, standing);
        start.push({ job: head, standing });
        queue.shift();
      }
    },
  };
}

/** Without preemption: the waiting jobs in order of `key`, those that do not fit are passed over. */
export function passingOver(key: Key): Scheduler {
  const waiting = new WaitingJobs(key);
  const byId = new Map<number, SimJob>();
  return {
    submitted(job) {
      byId.set(job.job.id, job);
      waiting.add(job.job);
    },
    finished: () => {},
    decide(_now, floor) {
      const free = floor.free.slice();
      const start: { job: SimJob; standing: Standing }[] = [];
      const blocked = new Set<number>();
      for (let job = waiting.first(blocked); job !== undefined; job = waiting.first(blocked)) {
        const standing = stand(free, floor.nodeDevices, job.devices);
        if (standing === null) {
          blocked.add(job.devices);
          continue;
        }
        waiting.remove(job);
        take(free, standing);
        start.push({ job: byId.get(job.id)!, standing });
      }
      return { preempt: [], start };
    },
  };
}

export const sjf = (): Scheduler => passingOver((job) => job.runTime!);

interface PackedAnew extends Scheduler {
  decide(now: number, floor: SimFloor, stopped?: (job: OrderedJob) => void): Decision;
}

/** Preemptive, packed anew in order of `key` at every event; only a job that had stopped pays for its start. */
function packedAnew(key: Key, nextChange?: (job: SimJob) => number): PackedAnew {
  const waiting = new WaitingJobs(key);
  const byId = new Map<number, SimJob>();
  return {
    submitted(job) {
      byId.set(job.job.id, job);
      waiting.add(job.job);
    },
    finished: () => {},
    ...(nextChange === undefined ? {} : { nextChange }),
    decide(_now, floor, stopped): Decision {
      const free = new Int32Array(floor.free.length).fill(floor.nodeDevices);
      const running = [...floor.running].map((job) => ({ job, key: key(job.job) }));
      running.sort((a, b) => a.key - b.key || a.job.job.id - b.job.job.id);
      const preempt: SimJob[] = [];
      const start: { job: SimJob; standing: Standing }[] = [];
      const move: { job: SimJob; standing: Standing }[] = [];
      const blocked = new Set<number>();
      let r = 0;
      for (;;) {
        const head = waiting.first(blocked);
        const runner = running[r];
        if (head === undefined && runner === undefined) break;
        const takesRunner = runner !== undefined && (head === undefined || runner.key <= key(head));
        const job = takesRunner ? runner.job : byId.get(head!.id)!;
        const standing = blocked.has(job.job.devices) ? null : stand(free, floor.nodeDevices, job.job.devices);
        if (standing === null) blocked.add(job.job.devices);
        else take(free, standing);
        if (takesRunner) {
          r++;
          if (standing === null) preempt.push(job);
          else move.push({ job, standing });
        } else if (standing !== null) {
          waiting.remove(job.job);
          start.push({ job, standing });
        }
      }
      for (const { job } of preempt) {
        stopped?.(job);
        waiting.add(job);
      }
      return { preempt, start, move };
    },
  };
}

export const srtf = (): Scheduler => packedAnew((job) => job.runTime! - job.ran);
export const srsf = (): Scheduler => packedAnew((job) => (job.runTime! - job.ran) * job.devices);

/**
 * Tiresias-L: three queues by attained device-seconds. Within a queue what runs goes first, then in the order in
 * which jobs began to wait there.
 */
const LAS_LIMITS = [3250, 7200];
const LEVEL = 1e12;
export function las(): Scheduler {
  const level = (job: OrderedJob): number => LAS_LIMITS.filter((limit) => job.ran * job.devices >= limit - 1e-3).length;
  const joined = new Map<OrderedJob, { level: number; at: number; waits: boolean }>();
  let sequence = 0;
  const key = (job: OrderedJob): number => {
    let place = joined.get(job);
    if (place === undefined || place.level !== level(job)) {
      place = { level: level(job), at: sequence++, waits: place?.waits ?? true };
      joined.set(job, place);
    }
    return place.level * LEVEL + place.at + (place.waits ? LEVEL / 2 : 0);
  };
  const packed = packedAnew(key, (job) => (LAS_LIMITS[level(job.job)] ?? Infinity) / job.job.devices - job.job.ran);
  return {
    ...packed,
    decide(now, floor) {
      for (const { job } of floor.running) joined.get(job)!.waits = false;
      const waitAgain = (job: OrderedJob): void => void joined.set(job, { level: level(job), at: sequence++, waits: true });
      return packed.decide(now, floor, waitAgain);
    },
  };
}

/**
 * EASY backfilling: the head of the queue holds a reservation at the earliest time by the limits of what runs;
 * another job starts only where it does not delay that.
 */
export function easy(limitOf: Key): Scheduler {
  let queue: SimJob[] = [];
  return {
    submitted: (job) => void queue.push(job),
    finished: () => {},
    decide(now, floor) {
      const free = floor.free.slice();
      const start: { job: SimJob; standing: Standing }[] = [];
      const begin = (job: SimJob, standing: Standing): void => {
        take(free, standing);
        start.push({ job, standing });
      };
      let head = 0;
      for (; head < queue.length; head++) {
        const standing = stand(free, floor.nodeDevices, queue[head]!.job.devices);
        if (standing === null) break;
        begin(queue[head]!, standing);
      }
      const blocked = queue[head];
      if (blocked === undefined) {
        queue = [];
        return { preempt: [], start };
      }
      const reservation = reserve(blocked, now, floor, free, start, limitOf);
      const rest = [blocked];
      const full = new Set<number>();
      for (const job of queue.slice(head + 1)) {
        const standing = full.has(job.job.devices) ? null : stand(free, floor.nodeDevices, job.job.devices);
        if (standing === null) full.add(job.job.devices);
        if (standing !== null && reservation.allows(job, standing)) begin(job, standing);
        else rest.push(job);
      }
      queue = rest;
      return { preempt: [], start };
    },
  };

  function reserve(
    head: SimJob,
    now: number,
    floor: SimFloor,
    free: Int32Array,
    started: readonly { job: SimJob; standing: Standing }[],
    limit: Key,
  ): { allows(job: SimJob, standing: Standing): boolean } {
    const ends = [
      ...[...floor.running].map((r) => ({ at: now + Math.max(limit(r.job) - r.job.ran, 0), standing: r.standing! })),
      ...started.map((s) => ({ at: now + limit(s.job.job), standing: s.standing })),
    ].sort((a, b) => a.at - b.at);
    const later = free.slice();
    let at = now;
    for (const end of ends) {
      for (const [i, node] of end.standing.nodes.entries()) later[node]! += end.standing.devices[i]!;
      at = end.at;
      if (stand(later, floor.nodeDevices, head.job.devices) !== null) break;
    }
    return {
      allows(job, standing) {
        if (now + limit(job.job) <= at) return true;
        take(later, standing);
        const stillFits = standing.nodes.every((node) => later[node]! >= 0) && stand(later, floor.nodeDevices, head.job.devices) !== null;
        if (!stillFits) for (const [i, node] of standing.nodes.entries()) later[node]! += standing.devices[i]!;
        return stillFits;
      },
    };
  }
}

function take(free: Int32Array, standing: Standing): void {
  for (const [i, node] of standing.nodes.entries()) free[node]! -= standing.devices[i]!;
}
