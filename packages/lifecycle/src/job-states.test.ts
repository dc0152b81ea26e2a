import { JOB_STATES, STOP_TARGETS, type JobState } from "@muster/model";
import { describe, expect, it } from "vitest";
import { isFinal, JOB_ACTIONS, JOB_EVENTS, JOB_TRANSITIONS, nextJobPlace, possibleActions, rowOf, type JobEvent, type JobPlace } from "./job-states.ts";

/** Every place that a job can be in. */
const PLACES: JobPlace[] = JOB_STATES.flatMap((state): JobPlace[] =>
  state === "stopping" ? STOP_TARGETS.map((stopTarget) => ({ state, stopTarget })) : [{ state, stopTarget: null }],
);

/** The legal pairs, written out a second time by hand: place → event → place. */
const LEGAL: Record<string, Partial<Record<JobEvent, string>>> = {
  queued: { hold: "held", release: "queued", suspend: "suspended", resume: "queued", requeue: "queued", cancel: "cancelled", opened: "scheduled" },
  held: { hold: "held", release: "queued", suspend: "suspended", cancel: "cancelled" },
  scheduled: {
    suspend: "stopping>suspended",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    preempted: "stopping>queued",
    drained: "stopping>queued",
    failed_worker: "recovering",
    handed_over: "starting",
  },
  starting: {
    suspend: "stopping>suspended",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    preempted: "stopping>queued",
    drained: "stopping>queued",
    failed_worker: "recovering",
    handed_over: "starting",
    all_up: "running",
    all_done: "succeeded",
    resized: "stopping>resized",
  },
  running: {
    suspend: "stopping>suspended",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    preempted: "stopping>queued",
    drained: "stopping>queued",
    failed_worker: "recovering",
    all_done: "succeeded",
    time_over: "stopping>failed",
    resized: "stopping>resized",
  },
  recovering: {
    hold: "stopping>held",
    suspend: "stopping>suspended",
    requeue: "recovering",
    cancel: "stopping>cancelled",
    failed_worker: "recovering",
    preempted: "recovering",
    drained: "recovering",
    gang_down: "queued",
    given_up: "failed",
    reopened: "scheduled",
  },
  "stopping>suspended": {
    hold: "stopping>held",
    suspend: "stopping>suspended",
    resume: "stopping>queued",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    failed_worker: "stopping>suspended",
    preempted: "stopping>suspended",
    drained: "stopping>suspended",
    all_done: "suspended",
    gang_down: "suspended",
  },
  "stopping>queued": {
    hold: "stopping>held",
    suspend: "stopping>suspended",
    resume: "stopping>queued",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    failed_worker: "stopping>queued",
    preempted: "stopping>queued",
    drained: "stopping>queued",
    all_done: "queued",
    gang_down: "queued",
  },
  "stopping>held": {
    hold: "stopping>held",
    suspend: "stopping>suspended",
    resume: "stopping>queued",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    failed_worker: "stopping>held",
    preempted: "stopping>held",
    drained: "stopping>held",
    all_done: "held",
    gang_down: "held",
  },
  "stopping>resized": {
    hold: "stopping>held",
    suspend: "stopping>suspended",
    resume: "stopping>queued",
    requeue: "stopping>queued",
    cancel: "stopping>cancelled",
    failed_worker: "stopping>resized",
    preempted: "stopping>resized",
    drained: "stopping>resized",
    all_done: "queued",
    gang_down: "queued",
  },
  "stopping>cancelled": {
    cancel: "stopping>cancelled",
    failed_worker: "stopping>cancelled",
    preempted: "stopping>cancelled",
    drained: "stopping>cancelled",
    all_done: "cancelled",
    gang_down: "cancelled",
  },
  "stopping>failed": {
    cancel: "stopping>failed",
    failed_worker: "stopping>failed",
    preempted: "stopping>failed",
    drained: "stopping>failed",
    all_done: "failed",
    gang_down: "failed",
  },
  "stopping>succeeded": {
    cancel: "stopping>succeeded",
    failed_worker: "stopping>succeeded",
    preempted: "stopping>succeeded",
    drained: "stopping>succeeded",
    all_done: "succeeded",
    gang_down: "succeeded",
  },
  suspended: { hold: "held", suspend: "suspended", resume: "queued", requeue: "queued", cancel: "cancelled" },
  succeeded: {},
  failed: { requeue: "queued" },
  cancelled: { cancel: "cancelled", requeue: "queued" },
};

const show = (place: JobPlace): string => (place.stopTarget ? `${place.state}>${place.stopTarget}` : place.state);

describe("the table of job states", () => {
  for (const place of PLACES) {
    it(`answers every event in ${show(place)}`, () => {
      const answers = Object.fromEntries(
        JOB_EVENTS.flatMap((event) => {
          const next = nextJobPlace(place, event);
          return next ? [[event, show(next)]] : [];
        }),
      );
      expect(answers).toEqual(LEGAL[show(place)]);
    });
  }

  it("names only actions that change something as possible", () => {
    for (const place of PLACES) {
      for (const action of JOB_ACTIONS) {
        const next = nextJobPlace(place, action);
        expect(possibleActions(place).includes(action)).toBe(next !== undefined && show(next) !== show(place));
      }
    }
  });

  it("has a stop target exactly while stopping, and every state can be reached from queued", () => {
    const reached = new Set<string>(["queued"]);
    const open: JobPlace[] = [{ state: "queued", stopTarget: null }];
    for (let place = open.pop(); place; place = open.pop()) {
      for (const event of JOB_EVENTS) {
        const next = nextJobPlace(place, event);
        if (!next) continue;
        expect(next.stopTarget !== null).toBe(next.state === "stopping");
        if (!reached.has(show(next))) {
          reached.add(show(next));
          open.push(next);
        }
      }
    }
    for (const state of JOB_STATES)
      expect(
        [...reached].some((one) => one.startsWith(state)),
        state,
      ).toBe(true);
  });

  it("never leaves a final state but for a requeue that a person asks", () => {
    for (const state of JOB_STATES.filter((one: JobState) => isFinal(one))) {
      for (const [event, next] of Object.entries(JOB_TRANSITIONS[state])) expect(next === "same" || event === "requeue").toBe(true);
    }
    expect(rowOf({ state: "stopping", stopTarget: "failed" })).toBe("ending");
  });
});
