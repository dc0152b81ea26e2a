import { GAVEL_DEVICES, GAVEL_KINDS, GAVEL_WINDOW, type GavelJob } from "./workload.ts";

const ROUND = 360;

/** What runs in the next round, and on which kind. */
export type RoundPolicy = (active: readonly ActiveJob[], now: number) => Map<ActiveJob, number>;

export interface ActiveJob {
  job: GavelJob;
  left: number;
  /** Seconds run on each kind since the jobs last changed. */
  ran: [number, number, number];
}

/**
 * Gavel's simulator: rounds of six minutes, in which a job makes whole steps on devices of one kind; what runs is chosen
 * anew for each round, and moving costs nothing. Gives the average JCT of the window in hours.
 */
export function runRounds(jobs: readonly GavelJob[], policy: RoundPolicy): number {
  const jct = new Map<number, number>();
  let active: ActiveJob[] = [];
  let now = 0;
  let next = 0;
  let waited = 0;
  const { from, to } = GAVEL_WINDOW;
  while (waited < to - from) {
    for (; next < jobs.length && jobs[next]!.submit <= now; next++) {
      active.push({ job: jobs[next]!, left: jobs[next]!.steps, ran: [0, 0, 0] });
      for (const one of active) one.ran = [0, 0, 0];
    }
    const running = policy(active, now);
    let end = now;
    let ended = false;
    for (const [one, kind] of running) {
      const speed = one.job.speed[kind]!;
      const steps = Math.min(Math.floor(speed * ROUND), one.left);
      const finish = now + steps / speed;
      one.left -= steps;
      one.ran[kind]! += finish - now;
      end = Math.max(end, finish);
      if (one.left > 0) continue;
      ended = true;
      jct.set(one.job.id, finish - one.job.submit);
      if (one.job.id >= from && one.job.id < to) waited++;
    }
    if (ended) {
      active = active.filter((one) => one.left > 0);
      for (const one of active) one.ran = [0, 0, 0];
    }
    if (end === now && jobs[next] === undefined) throw new Error("nothing runs and nothing comes: a job fits nowhere");
    now = end > now ? end : jobs[next]!.submit;
  }
  let sum = 0;
  for (let id = from; id < to; id++) sum += jct.get(id)!;
  return sum / (to - from) / 3600;
}

/** In order of arrival, each on the kind that has room and is fastest for it; the first that finds none blocks the rest. */
export const fifoByRounds: RoundPolicy = (active) => {
  const free = GAVEL_KINDS.map(() => GAVEL_DEVICES);
  const chosen = new Map<ActiveJob, number>();
  for (const one of active) {
    const kind = fastest(one, free);
    if (kind < 0) break;
    free[kind]! -= one.job.devices;
    chosen.set(one, kind);
  }
  return chosen;
};

function fastest({ job }: ActiveJob, free: readonly number[]): number {
  let best = -1;
  for (const kind of GAVEL_KINDS.keys()) {
    if (free[kind]! >= job.devices && job.speed[kind]! > 0 && (best < 0 || job.speed[kind]! > job.speed[best]!)) best = kind;
  }
  return best;
}

/**
 * Least attained service, blind to the kinds: everyone is due the same device time, spread over the kinds; whoever had the
 * least of what is due on a kind goes first there, the kinds in an order drawn for each round.
 */
export function lasByRounds(random: () => number): RoundPolicy {
  return (active) => {
    const chosen = new Map<ActiveJob, number>();
    const kinds = [0, 1, 2];
    for (let i = 2; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [kinds[i], kinds[j]] = [kinds[j]!, kinds[i]!];
    }
    for (const kind of kinds) {
      let free = GAVEL_DEVICES;
      const due = active.filter((one) => !chosen.has(one) && one.job.speed[kind]! > 0);
      // A job of several devices is due its share of device time, so less time.
      const key = (one: ActiveJob): number => (one.ran[kind]! + ROUND / 2) * one.job.devices;
      due.sort((a, b) => key(a) - key(b) || a.job.id - b.job.id);
      for (const one of due) {
        if (free === 0) break;
        if (one.job.devices > free) continue;
        free -= one.job.devices;
        chosen.set(one, kind);
      }
    }
    return chosen;
  };
}
