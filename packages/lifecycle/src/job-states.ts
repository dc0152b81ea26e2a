import { FINAL_JOB_STATES, type JobState, type StopTarget } from "@muster/model";

/*
 * The life of a job as data: state × event → state. `docs/lifecycle.md` draws it; a test walks every pair. A pair that is
 * not here is illegal, and `possibleActions` says what could be asked instead.
 */

/** A stopping job that will wait again, and one bound for a final state, answer differently: so two rows. */
export type JobRow = JobState | "ending";

/** What people ask for. */
export const JOB_ACTIONS = ["hold", "release", "suspend", "resume", "requeue", "cancel"] as const;
export type JobAction = (typeof JOB_ACTIONS)[number];

/** What Muster itself decides or is told. */
export const JOB_EVENTS = [
  ...JOB_ACTIONS,
  /** The scheduler opened an attempt. */
  "opened",
  /** Its start was handed to the engines. */
  "handed_over",
  /** Every worker is up. */
  "all_up",
  /** A worker failed, or its node did: the gang comes down, then it is judged. */
  "failed_worker",
  /** Every worker ended well. */
  "all_done",
  /** Every worker is confirmed dead (or superseded), and the job goes on. */
  "gang_down",
  /** As gang_down, and its next attempt was opened with it: it doesn't go through the queue. */
  "reopened",
  /** As gang_down, but the restart policy gives up. */
  "given_up",
  /** The scheduler takes its devices for someone else; it queues again. */
  "preempted",
  /** Its nodes are drained; it queues again. */
  "drained",
  /** Its running time is over. */
  "time_over",
  /** A new size was decided; the next attempt has it. */
  "resized",
] as const;
export type JobEvent = (typeof JOB_EVENTS)[number];

/** A state, `stopping:` towards one, `target` (where the stopping job was bound), or `same` (asked again: nothing changes). */
type Next = JobState | `stopping:${StopTarget}` | "target" | "same";

const bringDown = {
  suspend: "stopping:suspended",
  requeue: "stopping:queued",
  cancel: "stopping:cancelled",
  preempted: "stopping:queued",
  drained: "stopping:queued",
  failed_worker: "recovering",
} as const satisfies Partial<Record<JobEvent, Next>>;

export const JOB_TRANSITIONS: Readonly<Record<JobRow, Readonly<Partial<Record<JobEvent, Next>>>>> = {
  queued: { hold: "held", release: "same", suspend: "suspended", resume: "same", requeue: "same", cancel: "cancelled", opened: "scheduled" },
  held: { hold: "same", release: "queued", suspend: "suspended", cancel: "cancelled" },
  scheduled: { ...bringDown, handed_over: "starting" },
  starting: { ...bringDown, handed_over: "same", all_up: "running", all_done: "succeeded", resized: "stopping:resized" },
  running: { ...bringDown, all_done: "succeeded", time_over: "stopping:failed", resized: "stopping:resized" },
  recovering: {
    hold: "stopping:held",
    suspend: "stopping:suspended",
    requeue: "same",
    cancel: "stopping:cancelled",
    failed_worker: "same",
    preempted: "same",
    drained: "same",
    gang_down: "queued",
    reopened: "scheduled",
    given_up: "failed",
  },
  stopping: {
    hold: "stopping:held",
    suspend: "stopping:suspended",
    resume: "stopping:queued",
    requeue: "stopping:queued",
    cancel: "stopping:cancelled",
    failed_worker: "same",
    preempted: "same",
    drained: "same",
    all_done: "target",
    gang_down: "target",
  },
  ending: { cancel: "same", failed_worker: "same", preempted: "same", drained: "same", all_done: "target", gang_down: "target" },
  suspended: { hold: "held", suspend: "same", resume: "queued", requeue: "queued", cancel: "cancelled" },
  succeeded: {},
  failed: { requeue: "queued" },
  cancelled: { cancel: "same", requeue: "queued" },
};

export interface JobPlace {
  state: JobState;
  stopTarget: StopTarget | null;
}

export function isFinal(state: JobState): boolean {
  return (FINAL_JOB_STATES as readonly JobState[]).includes(state);
}

export function rowOf(place: JobPlace): JobRow {
  return place.state === "stopping" && place.stopTarget !== null && isFinal(place.stopTarget as JobState) ? "ending" : place.state;
}

/** Where an event leads; undefined where the pair is illegal. The same place again means that nothing changes. */
export function nextJobPlace(place: JobPlace, event: JobEvent): JobPlace | undefined {
  const next = JOB_TRANSITIONS[rowOf(place)][event];
  if (next === undefined) return undefined;
  if (next === "same") return place;
  if (next === "target") return { state: place.stopTarget === "resized" ? "queued" : (place.stopTarget as JobState), stopTarget: null };
  if (next.startsWith("stopping:")) return { state: "stopping", stopTarget: next.slice("stopping:".length) as StopTarget };
  return { state: next as JobState, stopTarget: null };
}

/** Actions that would change something now. */
export function possibleActions(place: JobPlace): JobAction[] {
  return JOB_ACTIONS.filter((action) => {
    const next = nextJobPlace(place, action);
    return next !== undefined && (next.state !== place.state || next.stopTarget !== place.stopTarget);
  });
}
