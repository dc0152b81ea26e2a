import { describe, expect, it } from "vitest";
import { evaluateGang, type WorkerFacts } from "./evaluate.ts";

function worker(part: Partial<WorkerFacts>): WorkerFacts {
  return { worker: "worker/0", node: "n0", state: "running", desired: "run", exitCode: null, signal: null, oom: false, reason: null, ...part };
}
const done = worker({ state: "exited", exitCode: 0 });
const failed = worker({ state: "exited", exitCode: 1 });
const killed = worker({ state: "exited", signal: "SIGKILL", desired: "kill" });

describe("evaluateGang", () => {
  it("is running only when every worker is up", () => {
    expect(evaluateGang("starting", [worker({}), worker({ state: "starting" })])).toEqual({ kind: "wait" });
    expect(evaluateGang("starting", [worker({}), worker({})])).toEqual({ kind: "all_up" });
    expect(evaluateGang("running", [worker({}), worker({})])).toEqual({ kind: "wait" });
    expect(evaluateGang("starting", [worker({}), done])).toEqual({ kind: "all_up" });
  });

  it("fails as one, and is done only when all are", () => {
    expect(evaluateGang("running", [worker({}), failed])).toEqual({ kind: "failed", failed: [failed] });
    expect(evaluateGang("scheduled", [worker({ state: "lost" })])).toMatchObject({ kind: "failed" });
    expect(evaluateGang("running", [worker({}), done])).toEqual({ kind: "wait" });
    expect(evaluateGang("starting", [done, done])).toEqual({ kind: "all_done" });
  });

  it("takes what it stopped itself for no failure, and waits for the last confirmed death", () => {
    expect(evaluateGang("stopping", [worker({ desired: "kill" }), killed])).toEqual({ kind: "wait" });
    expect(evaluateGang("stopping", [failed, killed])).toEqual({ kind: "down" });
    expect(evaluateGang("ended", [failed])).toEqual({ kind: "wait" });
  });

  it("goes on without a worker on a lost node: it fails the gang, and its end is not waited for", () => {
    const gone = worker({ unconfirmed: true });
    expect(evaluateGang("running", [worker({}), gone])).toEqual({ kind: "failed", failed: [gone] });
    expect(evaluateGang("stopping", [killed, { ...gone, desired: "kill" }])).toEqual({ kind: "down" });
    expect(evaluateGang("stopping", [worker({ desired: "kill" }), gone])).toEqual({ kind: "wait" });
    expect(evaluateGang("running", [worker({}), { ...done, unconfirmed: true }])).toEqual({ kind: "wait" });
  });
});
