import { describe, expect, it } from "vitest";
import { recoveryOf, sameFault, type RecoveryTimes } from "./recovery-phases.ts";

const base: RecoveryTimes = { began: 0, seen: 10_000, dead: 11_500, ended: 12_000, next: null, finished: null, reports: true, lostSteps: 0, pace: 0 };

describe("recoveryOf", () => {
  it("fills in the phases as the next attempt goes on", () => {
    expect(recoveryOf(base)).toEqual({ phases: { detect: 10, fence: 1.5, decide: 0.5 }, done: false, held: 12 });
    const placed = { scheduled: 15_000, up: null, firstStep: null, ended: null };
    expect(recoveryOf({ ...base, next: placed }).phases).toEqual({ detect: 10, fence: 1.5, decide: 0.5, place: 3 });
    const up = { ...placed, up: 16_000 };
    expect(recoveryOf({ ...base, next: up })).toMatchObject({ phases: { start: 1 }, done: false });
    const back = recoveryOf({ ...base, next: { ...up, firstStep: 20_000 }, lostSteps: 3, pace: 2 });
    expect(back).toEqual({ phases: { detect: 10, fence: 1.5, decide: 0.5, place: 3, start: 1, reload: 4, redo: 6 }, done: true, held: 23 });
  });

  it("is over when the job is, when the next attempt ended too, and when a job without progress is up", () => {
    const up = { scheduled: 15_000, up: 16_000, firstStep: null, ended: null };
    expect(recoveryOf({ ...base, finished: 12_000 }).done).toBe(true);
    expect(recoveryOf({ ...base, next: { ...up, ended: 17_000 } }).done).toBe(true);
    expect(recoveryOf({ ...base, reports: false, next: up }).done).toBe(true);
    expect(recoveryOf({ ...base, reports: true, next: up }).done).toBe(false);
  });

  it("counts to the judgement where nobody can tell that all are dead", () => {
    expect(recoveryOf({ ...base, dead: null }).phases).toEqual({ detect: 10, fence: 2, decide: 0 });
  });
});

describe("sameFault", () => {
  it("is one node or one leaf switch, never two that aren't known", () => {
    expect(sameFault({ node: "a", leaf: "z/s/l" }, { node: "b", leaf: "z/s/l" })).toBe(true);
    expect(sameFault({ node: "a", leaf: null }, { node: "a", leaf: null })).toBe(true);
    expect(sameFault({ node: "a", leaf: null }, { node: "b", leaf: null })).toBe(false);
    expect(sameFault({ node: "a", leaf: "z/s/l" }, { node: "b", leaf: "z/s/m" })).toBe(false);
  });
});
