import type { AttemptView } from "@muster/model";
import { describe, expect, test } from "vitest";
import { layTimeline, placeOf, recoverySeconds, ticksOf } from "./timeline.ts";

const T0 = Date.UTC(2026, 0, 1);
const at = (seconds: number): string => new Date(T0 + seconds * 1000).toISOString();

function attempt(number: number, scheduled: number, part: Partial<AttemptView> = {}): AttemptView {
  return {
    job: "job_1",
    number,
    incarnation: "1-a",
    state: "ended",
    variant: 0,
    workers: 2,
    nodes: ["n-0", "n-1"],
    resume_reason: null,
    resumed_from_step: null,
    scheduled_at: at(scheduled),
    starting_at: null,
    started_at: null,
    first_progress_at: null,
    stopping_at: null,
    ended_at: null,
    outcome: null,
    failure: null,
    first_step: null,
    last_step: null,
    ...part,
  };
}
const first = attempt(1, 10, { starting_at: at(11), started_at: at(15), stopping_at: at(100), ended_at: at(102), outcome: "failed", last_step: 500 });
const second = attempt(2, 110, { state: "running", starting_at: at(111), started_at: at(116), first_progress_at: at(120), resumed_from_step: 450 });
const job = { submitted_at: at(0), finished_at: null };

describe("the timeline of a job", () => {
  const timeline = layTimeline(job, [second, first], false, T0 + 200_000);

  test("has a row for each attempt, oldest first, from submission until now", () => {
    expect(timeline.rows.map((row) => row.attempt?.number)).toEqual([1, 2]);
    expect([timeline.from, timeline.to]).toEqual([T0, T0 + 200_000]);
  });

  test("gives each phase the time to the next that was reached", () => {
    const spans = timeline.rows.map((row) => row.segments.map(({ phase, from, to, open }) => [phase, (from - T0) / 1000, (to - T0) / 1000, open]));
    expect(spans).toEqual([
      [
        ["waiting", 0, 10, false],
        ["scheduled", 10, 11, false],
        ["starting", 11, 15, false],
        ["running", 15, 100, false],
        ["stopping", 100, 102, false],
      ],
      [
        ["waiting", 102, 110, false],
        ["scheduled", 110, 111, false],
        ["starting", 111, 116, false],
        ["running", 116, 200, true],
      ],
    ]);
  });

  test("leaves no gap and no overlap within a row", () => {
    for (const row of timeline.rows)
      for (const [index, segment] of row.segments.entries()) expect(segment.from).toBe(row.segments[index - 1]?.to ?? segment.from);
  });

  test("counts the steps that are made again", () => expect(timeline.rows.map((row) => row.stepsLost)).toEqual([undefined, 50]));

  test("counts recovery from the failure to the first new progress", () => {
    expect(recoverySeconds(first, second)).toBe(20);
    expect(recoverySeconds({ ...first, outcome: "stopped" }, second)).toBeUndefined();
  });
});

test("a job that was stopped before it started shows only what it reached", () => {
  const stopped = attempt(1, 5, { stopping_at: at(6), ended_at: at(7), outcome: "stopped" });
  const [row] = layTimeline({ ...job, finished_at: at(7) }, [stopped], false, T0 + 99_000).rows;
  expect(row?.segments.map((segment) => segment.phase)).toEqual(["waiting", "scheduled", "stopping"]);
});

test("the wait that goes on now has a row of its own", () => {
  const { rows } = layTimeline(job, [first], true, T0 + 150_000);
  expect(rows.at(-1)).toMatchObject({ attempt: undefined, segments: [{ phase: "waiting", from: T0 + 102_000, to: T0 + 150_000, open: true }] });
});

test("a job just submitted has a width to draw on", () => {
  const timeline = layTimeline(job, [], true, T0);
  expect(timeline.to - timeline.from).toBe(1000);
  expect(placeOf(timeline, T0 - 5000)).toBe(0);
  expect(placeOf(timeline, T0 + 500)).toBe(0.5);
  expect(placeOf(timeline, T0 + 99_999)).toBe(1);
});

test.each([1, 30, 61, 3600, 40_000, 86_400, 3_000_000, 90_000_000, 4e9])("%f s get at most nine marks, each labelled once", (seconds) => {
  const ticks = ticksOf(T0, T0 + seconds * 1000);
  expect(ticks.length).toBeGreaterThanOrEqual(2);
  expect(ticks.length).toBeLessThanOrEqual(9);
  expect(new Set(ticks.map((tick) => tick.label)).size).toBe(ticks.length);
});
