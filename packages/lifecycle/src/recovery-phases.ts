/* How a job came back after an attempt of it ended, and what that cost. Times in milliseconds by the database's clock. */

export interface RecoveryTimes {
  /** When what ended it began: a process ended, a node was last heard of, the last step was made. */
  began: number;
  /** When it was seen, and its end was ordered. */
  seen: number;
  /** When the last of its workers was known to be dead; null: some are on lost nodes, and the job goes on without them. */
  dead: number | null;
  /** When it was judged and over. */
  ended: number;
  next: { scheduled: number; up: number | null; firstStep: number | null; ended: number | null } | null;
  /** When the job ended for good. */
  finished: number | null;
  /** Whether the job reports progress; where it doesn't, being up is the end of its recovery. */
  reports: boolean;
  /** Steps that had been made and are made again, and seconds that one took. */
  lostSteps: number;
  pace: number;
}

export const PHASES = ["detect", "decide", "fence", "place", "start", "reload", "redo"] as const;
export type Phase = (typeof PHASES)[number];

export interface Recovery {
  /** Seconds; a phase that hasn't ended is absent. */
  phases: Partial<Record<Phase, number>>;
  done: boolean;
  /** Seconds in which its devices were held and brought nothing: all phases but waiting for a place. */
  held: number;
}

export function recoveryOf(times: RecoveryTimes): Recovery {
  const { next } = times;
  const dead = times.dead ?? times.ended;
  const phases: Recovery["phases"] = { detect: between(times.began, times.seen), fence: between(times.seen, dead), decide: between(dead, times.ended) };
  if (next) phases.place = between(times.ended, next.scheduled);
  if (next?.up) phases.start = between(next.scheduled, next.up);
  if (next?.up && next.firstStep) {
    phases.reload = between(next.up, next.firstStep);
    phases.redo = round(Math.max(0, times.lostSteps) * times.pace);
  }
  const back = next !== null && (next.firstStep !== null || next.ended !== null || (next.up !== null && !times.reports));
  const held = Object.entries(phases).reduce((sum, [phase, seconds]) => (phase === "place" ? sum : sum + seconds), 0);
  return { phases, done: back || times.finished !== null, held: round(held) };
}

const between = (from: number, to: number): number => round(Math.max(0, to - from) / 1000);
const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;

export interface IncidentSite {
  node: string;
  /** Path down to the leaf switch; null where that isn't known. */
  leaf: string | null;
}

/** Whether two faults that were seen within a minute of each other are taken as one: on one node, or below one leaf switch. */
export function sameFault(one: IncidentSite, other: IncidentSite): boolean {
  return one.node === other.node || (one.leaf !== null && one.leaf === other.leaf);
}
