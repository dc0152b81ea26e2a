import { GAVEL_DEVICES, GAVEL_KINDS, GAVEL_WINDOW, type GavelJob } from "./workload.ts";

/** Seconds. */
const ROUND = 360;
/** Shares of time are computed anew at most this often, and not before a job came or went. */
const SHARES_EVERY = 1920;
/** Time on each kind that every job is taken to have had when shares are new. */
const HEAD_START = ROUND / 2;

export interface ActiveJob {
  job: GavelJob;
  left: number;
  /** Part of its time that is due to it on each kind; null before shares were computed with it. */
  due: readonly number[] | null;
  /** Seconds run on each kind since then. */
  ran: number[];
  /** Seconds that were due on each kind, less those that it ran. */
  deficit: number[];
}

/** A policy of Gavel: what part of its time each job, in order of arrival, is due on each kind. */
export interface SharePolicy {
  shares: (jobs: readonly GavelJob[]) => readonly (readonly number[])[];
  /** The order in which the kinds are dealt out in a round. */
  kinds: () => readonly number[];
  /** Whether who is due nothing runs where there is room. */
  fills: boolean;
}

/**
 * Gavel's simulator: rounds of six minutes, in which a job makes whole steps on devices of one kind; whoever had the least of
 * what is due goes first, and moving costs nothing. Gives the average JCT of the window in hours.
 */
export function runRounds(jobs: readonly GavelJob[], policy: SharePolicy): number {
  const jct = new Map<number, number>();
  let active: ActiveJob[] = [];
  let now = 0;
  let next = 0;
  let waited = 0;
  let sharedAt = 0;
  let changed = false;
  const { from, to } = GAVEL_WINDOW;
  while (waited < to - from) {
    for (; next < jobs.length && jobs[next]!.submit <= now; next++) {
      active.push({ job: jobs[next]!, left: jobs[next]!.steps, due: null, ran: fresh(HEAD_START), deficit: fresh(0) });
      changed = true;
    }
    if (changed && (now - sharedAt >= SHARES_EVERY || sharedAt === 0)) {
      share(active, policy, now - sharedAt);
      sharedAt = now;
      changed = false;
    }
    let end = now;
    for (const [one, kind] of dealRound(active, policy)) {
      const speed = one.job.speed[kind]!;
      const steps = Math.min(Math.floor(speed * ROUND), one.left);
      const finish = now + steps / speed;
      one.left -= steps;
      one.ran[kind]! += finish - now;
      end = Math.max(end, finish);
      if (one.left > 0) continue;
      changed = true;
      jct.set(one.job.id, finish - one.job.submit);
      if (one.job.id >= from && one.job.id < to) waited++;
    }
    if (changed) active = active.filter((one) => one.left > 0);
    if (end === now && jobs[next] === undefined) throw new Error("nothing runs and nothing comes: a job fits nowhere");
    now = end > now ? end : Math.max(jobs[next]!.submit, now + 1);
  }
  let sum = 0;
  for (let id = from; id < to; id++) sum += jct.get(id)!;
  return sum / (to - from) / 3600;
}

function fresh(value: number): number[] {
  return GAVEL_KINDS.map(() => value);
}

function share(active: readonly ActiveJob[], policy: SharePolicy, elapsed: number): void {
  const shares = policy.shares(active.map((one) => one.job));
  for (const [i, one] of active.entries()) {
    for (const kind of GAVEL_KINDS.keys()) one.deficit[kind]! += (one.due?.[kind] ?? 0) * elapsed - (one.ran[kind]! - HEAD_START);
    one.ran = fresh(HEAD_START);
    one.due = shares[i]!;
  }
}

/** Who runs in the next round, and on which kind. */
function dealRound(active: readonly ActiveJob[], policy: SharePolicy): Map<ActiveJob, number> {
  const chosen = new Map<ActiveJob, number>();
  for (const kind of policy.kinds()) {
    let free = GAVEL_DEVICES;
    const rank = (one: ActiveJob): number => (one.due?.[kind] ?? 0) / one.ran[kind]!;
    const queue = active.filter((one) => one.due !== null && !chosen.has(one) && one.job.speed[kind]! > 0 && (policy.fills || one.due[kind]! > 0));
    queue.sort((a, b) => rank(b) - rank(a) || b.deficit[kind]! - a.deficit[kind]! || b.due![kind]! - a.due![kind]!);
    for (const one of queue) {
      if (one.job.devices > free) continue;
      free -= one.job.devices;
      chosen.set(one, kind);
      if (free === 0) break;
    }
  }
  return chosen;
}
