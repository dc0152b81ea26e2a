import type { AttemptView } from "@muster/model";

export type Phase = "waiting" | "scheduled" | "starting" | "running" | "stopping";

export interface Segment {
  phase: Phase;
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
  /** It has not ended: `to` is now. */
  open: boolean;
}

export interface TimelineRow {
  /** undefined: the wait that goes on now. */
  attempt: AttemptView | undefined;
  segments: Segment[];
  end: number | undefined;
  /** Steps that the attempt before had made and this one has to make again. */
  stepsLost: number | undefined;
}

export interface Timeline {
  from: number;
  to: number;
  rows: TimelineRow[];
  ticks: { at: number; label: string }[];
}

const at = (time: string | null): number | undefined => (time === null ? undefined : Date.parse(time));

/** The phases of one attempt: each runs from its own moment to that of the next phase which was reached. */
function phasesOf(attempt: AttemptView, now: number): Segment[] {
  const ended = at(attempt.ended_at);
  const moments = [
    { phase: "scheduled", from: at(attempt.scheduled_at) },
    { phase: "starting", from: at(attempt.starting_at) },
    { phase: "running", from: at(attempt.started_at) },
    { phase: "stopping", from: at(attempt.stopping_at) },
  ] as const;
  const reached = moments.flatMap(({ phase, from }) => (from === undefined ? [] : [{ phase, from }]));
  return reached.map(({ phase, from }, index) => {
    const to = reached[index + 1]?.from ?? ended ?? now;
    return { phase, from, to: Math.max(from, to), open: index === reached.length - 1 && ended === undefined };
  });
}

/**
 * A job's life from its submission: one row for each attempt, oldest first, begun by the wait before it, and one more row
 * for the wait that goes on now.
 * @param waiting whether the job waits now
 */
export function layTimeline(
  job: { submitted_at: string; finished_at: string | null },
  attempts: readonly AttemptView[],
  waiting: boolean,
  now: number,
): Timeline {
  const ordered = [...attempts].sort((a, b) => a.number - b.number);
  const from = Date.parse(job.submitted_at);
  let free = from;
  let previous: AttemptView | undefined;
  const rows: TimelineRow[] = [];
  for (const attempt of ordered) {
    const phases = phasesOf(attempt, now);
    const begin = phases[0]?.from ?? free;
    const wait: Segment[] = begin > free ? [{ phase: "waiting", from: free, to: begin, open: false }] : [];
    const end = at(attempt.ended_at);
    rows.push({ attempt, segments: [...wait, ...phases], end, stepsLost: lostSteps(previous, attempt) });
    free = Math.max(free, end ?? now);
    previous = attempt;
  }
  if (waiting && now > free)
    rows.push({ attempt: undefined, segments: [{ phase: "waiting", from: free, to: now, open: true }], end: undefined, stepsLost: undefined });
  const last = Math.max(from + 1000, at(job.finished_at) ?? now, ...rows.flatMap((row) => row.segments.map((segment) => segment.to)));
  return { from, to: last, rows, ticks: ticksOf(from, last) };
}

export function lostSteps(previous: AttemptView | undefined, attempt: AttemptView): number | undefined {
  if (previous?.last_step === undefined || previous.last_step === null) return undefined;
  return Math.max(0, previous.last_step - (attempt.resumed_from_step ?? 0));
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000, 1_728_000, 4_320_000];

/** Four to eight marks at round distances from the start, labelled by how long after it they are. */
export function ticksOf(from: number, to: number): { at: number; label: string }[] {
  const seconds = (to - from) / 1000;
  const step = STEPS.find((size) => seconds / size <= 8) ?? Math.ceil(seconds / 8 / 4_320_000) * 4_320_000;
  const ticks: { at: number; label: string }[] = [];
  for (let offset = 0; offset <= seconds; offset += step) ticks.push({ at: from + offset * 1000, label: offset === 0 ? "0" : tickLabel(offset) });
  return ticks;
}

function tickLabel(seconds: number): string {
  const units = [
    ["d", 86_400],
    ["h", 3600],
    ["m", 60],
    ["s", 1],
  ] as const;
  let rest = seconds;
  const parts: string[] = [];
  for (const [name, size] of units) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount > 0) parts.push(`${amount}${name}`);
  }
  return `+${parts.slice(0, 2).join(" ")}`;
}

/** A moment's place between 0 and 1. */
export const placeOf = (timeline: Pick<Timeline, "from" | "to">, moment: number): number =>
  Math.min(1, Math.max(0, (moment - timeline.from) / Math.max(1, timeline.to - timeline.from)));

/** Seconds from the failure of the attempt before to this one's first progress (or start), the cost of a recovery. */
export function recoverySeconds(previous: AttemptView | undefined, attempt: AttemptView): number | undefined {
  const failed = previous?.outcome === "failed" ? (at(previous.stopping_at) ?? at(previous.ended_at)) : undefined;
  const back = at(attempt.first_progress_at) ?? at(attempt.started_at);
  return failed === undefined || back === undefined ? undefined : Math.max(0, (back - failed) / 1000);
}
