import type { AttemptView, EventView } from "@muster/model";
import { expect, it } from "vitest";
import { recoveryTimes, stepsLost } from "./recovery.ts";

const event = (kind: string, attempt: number, second: number): EventView => ({
  id: "1-1",
  at: new Date(second * 1000).toISOString(),
  kind,
  actor: "x",
  project: null,
  job: "j",
  attempt,
  node: null,
  queue: null,
  pool: null,
  data: {},
});

it("splits a recovery into its phases", () => {
  const events = [
    event("job.running", 1, 5),
    event("worker.failed", 1, 100.5),
    event("job.scheduled", 2, 101),
    event("job.running", 2, 102),
    event("attempt.progressing", 2, 106),
  ];
  expect(recoveryTimes(events, 1, 100_000)).toEqual({ detect: 0.5, decide: 0.5, start: 1, reload: 4, total: 6 });
  expect(recoveryTimes(events.slice(0, 4), 1, 100_000)).toBeUndefined();
});

it("counts the steps that had to be done again", () => {
  const attempt = (number: number, resumed_from_step: number | null, last_step: number | null): AttemptView =>
    ({ number, resumed_from_step, last_step }) as AttemptView;
  expect(stepsLost([attempt(2, 40, 100), attempt(1, null, 47)])).toBe(7);
  expect(stepsLost([attempt(1, null, 100)])).toBe(0);
  expect(stepsLost([attempt(1, null, 9), attempt(2, null, 20)])).toBe(9);
});
