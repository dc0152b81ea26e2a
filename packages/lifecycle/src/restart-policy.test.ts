import { describe, expect, it } from "vitest";
import { classify, type Ending, type Verdict } from "./classify.ts";
import { backoffAfter, decideRestart, escalate, type RestartInput } from "./restart-policy.ts";

const base: Ending = { worker: "worker/0", node: "n0", rank: null, exitCode: null, signal: null, oom: false, lost: false, reason: null, tail: "", matched: [] };
const user: Verdict = classify([{ ...base, exitCode: 1 }], []);
const infrastructure: Verdict = classify([{ ...base, lost: true }], []);
const unknown: Verdict = classify([{ ...base, signal: "SIGSEGV" }], []);

function decide(part: Partial<RestartInput>): ReturnType<typeof decideRestart> {
  return decideRestart({
    verdict: user,
    ledgers: { user: 0, infrastructure: 0, unknown: 0 },
    maxRestarts: 3,
    progressed: false,
    previousSignature: null,
    ...part,
  });
}

describe("decideRestart", () => {
  it("charges each cause to its own ledger", () => {
    expect(decide({}).ledgers).toEqual({ user: 1, infrastructure: 0, unknown: 0 });
    expect(decide({ verdict: infrastructure }).ledgers).toEqual({ user: 0, infrastructure: 1, unknown: 0 });
    expect(decide({ verdict: unknown }).ledgers).toEqual({ user: 0, infrastructure: 0, unknown: 1 });
  });

  it("ends a job whose error comes twice with no new checkpoint between", () => {
    expect(decide({}).restart).toBe(true);
    expect(decide({ ledgers: { user: 1, infrastructure: 0, unknown: 0 }, previousSignature: user.signature }).restart).toBe(false);
    expect(decide({ ledgers: { user: 1, infrastructure: 0, unknown: 0 }, previousSignature: user.signature, progressed: true }).restart).toBe(true);
    expect(decide({ ledgers: { user: 1, infrastructure: 0, unknown: 0 }, previousSignature: "another" }).restart).toBe(true);
  });

  it("has max_restarts as the ceiling of user errors, and of nothing else", () => {
    expect(decide({ ledgers: { user: 3, infrastructure: 0, unknown: 0 }, previousSignature: "another" }).restart).toBe(false);
    // spent by lack of progress: a job that gets on may err again
    expect(decide({ ledgers: { user: 3, infrastructure: 0, unknown: 0 }, progressed: true })).toMatchObject({ restart: true, ledgers: { user: 1 } });
    expect(decide({ maxRestarts: 0 }).restart).toBe(false);
    expect(decide({ verdict: infrastructure, maxRestarts: 0, ledgers: { user: 3, infrastructure: 50, unknown: 3 } }).restart).toBe(true);
  });

  it("doesn't try again what can't be started as it is described, and says no word of that twice", () => {
    const verdict = classify([{ ...base, reason: "invalid: there is no volume x" }], []);
    const { restart, why } = decide({ verdict });
    expect(restart).toBe(false);
    expect(verdict.message).not.toContain(why);
    expect(why).not.toContain(verdict.message);
  });

  it("gives up on the unexplained after three in a row without progress", () => {
    expect(decide({ verdict: unknown, ledgers: { user: 0, infrastructure: 0, unknown: 2 } }).restart).toBe(true);
    expect(decide({ verdict: unknown, ledgers: { user: 0, infrastructure: 0, unknown: 3 } }).restart).toBe(false);
    expect(decide({ verdict: unknown, ledgers: { user: 0, infrastructure: 0, unknown: 3 }, progressed: true }).restart).toBe(true);
  });

  it("leaves out a node on which it fails twice with no progress between, unless the error is the user's", () => {
    expect(escalate(unknown, "n0", false).action).toBe("exclude_node");
    expect(escalate(unknown, "n0", true)).toBe(unknown);
    expect(escalate(unknown, "n1", false)).toBe(unknown);
    expect(escalate(user, "n0", false)).toBe(user);
    expect(escalate(infrastructure, "n0", false)).toBe(infrastructure);
  });

  it("starts again at once after a first failure, then backs off, and forgets it on progress", () => {
    expect([0, 1, 2, 3, 10].map(backoffAfter)).toEqual([0, 10, 20, 40, 300]);
    expect(decide({ verdict: infrastructure, ledgers: { user: 0, infrastructure: 3, unknown: 0 } }).backoff).toBe(40);
    expect(decide({ verdict: infrastructure, ledgers: { user: 0, infrastructure: 3, unknown: 0 }, progressed: true }).backoff).toBe(0);
  });
});
