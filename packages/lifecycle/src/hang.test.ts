import { describe, expect, it } from "vitest";
import { decideRestart } from "./restart-policy.ts";
import { hangVerdict, judgeHang, median, type ProgressFacts } from "./hang.ts";

const MINUTE = 60_000;
const NOW = 1_000 * MINUTE;

/** A job that made a step each two seconds until `quiet` ago, heard of for long. */
function facts(quiet: number, part: Partial<ProgressFacts> = {}): ProgressFacts {
  return {
    now: NOW,
    upAt: NOW - 300 * MINUTE,
    stepAt: NOW - quiet,
    step: 70,
    reports: true,
    phase: null,
    intervals: Array.from({ length: 50 }, () => 2000),
    hangTimeout: null,
    heardSince: 0,
    unheard: 0,
    ...part,
  };
}

describe("judgeHang", () => {
  it.each([
    ["a minute for a quick job", {}, MINUTE],
    ["ten times the median for a slow one", { intervals: Array.from({ length: 50 }, () => 30_000) }, 5 * MINUTE],
    ["what the job says, below the floor too", { hangTimeout: 5000 }, 5000],
    ["long before the pace is known", { intervals: [2000, 2000, 2000, 2000] }, 30 * MINUTE],
    ["half an hour for the first step", { stepAt: null, upAt: NOW }, 30 * MINUTE],
    ["longer for the first step where the job says so", { stepAt: null, upAt: NOW, hangTimeout: 60 * MINUTE }, 60 * MINUTE],
    ["never shorter for the first step", { stepAt: null, upAt: NOW, hangTimeout: 5000 }, 30 * MINUTE],
    ["two hours in an evaluation", { phase: "evaluation", hangTimeout: 5000 }, 120 * MINUTE],
    ["half an hour in a checkpoint", { phase: "checkpoint" }, 30 * MINUTE],
    ["five minutes while the framework recovers by itself", { phase: "recovering", hangTimeout: 5000 }, 5 * MINUTE],
    ["as ever in a phase that means nothing here", { phase: "train" }, MINUTE],
    ["a job that never reported, with a timeout", { reports: false, stepAt: null, upAt: NOW, hangTimeout: 40 * MINUTE, intervals: [] }, 40 * MINUTE],
  ] as [string, Partial<ProgressFacts>, number][])("%s", (_, part, limit) => {
    const at = (quiet: number): ReturnType<typeof judgeHang> => {
      const quietly = part.stepAt === null ? { ...part, upAt: NOW - quiet } : part;
      return judgeHang(facts(quiet, quietly));
    };
    expect(at(limit - 1)).toEqual({ kind: "well", limit });
    expect(at(limit)).toMatchObject({ kind: "hung", limit });
  });

  it("leaves alone what never reports and has no timeout, however long", () => {
    expect(judgeHang(facts(0, { reports: false, stepAt: null, upAt: 0 }))).toMatchObject({ kind: "unknown" });
  });

  it("says nothing while a shard isn't heard of, nor until what was done meanwhile has been told", () => {
    expect(judgeHang(facts(100 * MINUTE, { heardSince: null }))).toMatchObject({ kind: "unknown" });
    expect(judgeHang(facts(100 * MINUTE, { heardSince: NOW - 29_999 }))).toMatchObject({ kind: "well" });
    expect(judgeHang(facts(100 * MINUTE, { heardSince: NOW - 30_000 }))).toMatchObject({ kind: "hung", since: NOW - 100 * MINUTE });
    expect(judgeHang(facts(100 * MINUTE, { hangTimeout: 5000, heardSince: NOW - 5000 }))).toMatchObject({ kind: "hung" });
  });

  it("goes on with the clock after time in which it could not be heard, without counting that", () => {
    expect(judgeHang(facts(3 * MINUTE, { unheard: 2 * MINUTE + 1 }))).toMatchObject({ kind: "well" });
    const decision = judgeHang(facts(3 * MINUTE, { unheard: 2 * MINUTE }));
    expect(decision).toMatchObject({ kind: "hung" });
    expect(decision.kind === "hung" && decision.evidence).toContain("120 s of that don't count: a shard of it was not heard of");
  });

  it("tells what it saw", () => {
    const decision = judgeHang(facts(90_000, { phase: "train" }));
    expect(decision).toMatchObject({
      evidence: [
        "no step for 90 s; the last was 70",
        "limit 60 s: 10 times the median, at least 60 s",
        "median time between reports 2 s, of the last 50",
        "phase train",
      ],
    });
  });
});

describe("what a hang is charged to", () => {
  it("is infrastructure's at first, and unexplained when it comes again without progress, which ends the job", () => {
    const restart = (verdict: ReturnType<typeof hangVerdict>, unknown: number) =>
      decideRestart({ verdict, ledgers: { user: 0, infrastructure: 1, unknown }, maxRestarts: 0, progressed: false, previousSignature: null });
    expect(restart(hangVerdict([], false), 0)).toMatchObject({ restart: true, ledgers: { user: 0, infrastructure: 2, unknown: 0 } });
    expect(restart(hangVerdict([], true), 0)).toMatchObject({ restart: true, ledgers: { user: 0, infrastructure: 1, unknown: 1 } });
    expect(restart(hangVerdict([], true), 3)).toMatchObject({ restart: false });
  });
});

describe("median", () => {
  it.each([
    [[3], 3],
    [[1, 3], 2],
    [[9, 1, 5], 5],
    [[], 0],
  ])("of %j is %d", (values, middle) => expect(median(values)).toBe(middle));
});
