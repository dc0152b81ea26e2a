import { describe, expect, it } from "vitest";
import { isOfEarlierBoot, judge, type Judged } from "./judge.ts";
import { readNode, type NodeView } from "./node-view.ts";
import { readPod, type PodState, type PodView } from "./pod-state.ts";
import { somePod, someStart } from "./testing/objects.ts";

const LIMITS = { bind_timeout: 60, pull_timeout: 180, start_timeout: 900 };
const BEGAN = 1_000_000;

const at = (seconds: number): number => BEGAN + seconds * 1000;
const node = (more: { ready?: string; boot?: string; taint?: string } = {}): NodeView =>
  readNode({
    metadata: { name: "node-a" },
    spec: { taints: more.taint === undefined ? [] : [{ key: more.taint, effect: "NoExecute" }] },
    status: { conditions: [{ type: "Ready", status: more.ready ?? "True" }], nodeInfo: { bootID: more.boot ?? "boot-1" } },
  });
const pod = (state: PodState, more: Partial<PodView> = {}): PodView => ({ ...(readPod(somePod(someStart())) as PodView), bound: true, state, ...more });
const worker = (state: PodState, more: Partial<Judged> = {}): Judged => ({
  alive: true,
  state: state.kind === "running" ? "running" : "starting",
  pod: pod(state),
  end: undefined,
  stop: undefined,
  givenUp: undefined,
  stepSince: BEGAN,
  ranIn: undefined,
  missingSince: undefined,
  ...more,
});
const RUNS: PodState = { kind: "running", since: BEGAN };
const binding: PodState = { kind: "waiting", step: "binding", problem: "Unschedulable: no room" };
const starting: PodState = { kind: "waiting", step: "starting" };

describe("a worker that no kubelet tells of", () => {
  it("is over when its node is declared out of service, and not for its silence", () => {
    const away = node({ ready: "Unknown" });
    expect(judge(worker(RUNS), away, LIMITS, at(1e6))).toBeUndefined();
    expect(judge(worker(RUNS), undefined, LIMITS, at(1e6))).toBeUndefined();
    expect(judge(worker(RUNS), node({ ready: "Unknown", taint: "node.kubernetes.io/out-of-service" }), LIMITS, at(1))).toEqual({
      kind: "over",
      reason: "its node is declared out of service",
    });
  });

  it("is over when its pod is gone and its kubelet, which answers, has had the time to end it", () => {
    const missing = worker(RUNS, { missingSince: BEGAN });
    expect(judge(missing, node(), LIMITS, at(60))).toBeUndefined();
    expect(judge(missing, node({ ready: "Unknown" }), LIMITS, at(600))).toBeUndefined();
    expect(judge(missing, node(), LIMITS, at(61))).toEqual({ kind: "over", reason: "its pod was removed by force" });
  });

  it("is over when its node was started anew, and that is named as the reason", () => {
    const before = worker(RUNS, { ranIn: "boot-1", missingSince: BEGAN });
    expect([isOfEarlierBoot(before, node()), isOfEarlierBoot(before, node({ boot: "" })), isOfEarlierBoot(before, node({ boot: "boot-2" }))]).toEqual([
      false,
      false,
      true,
    ]);
    expect(judge(before, node({ boot: "boot-2" }), LIMITS, at(61))).toEqual({ kind: "over", reason: "its node was started anew" });
  });
});

describe("a worker on its way up", () => {
  it("is hopeless when it isn't bound in time, with what kube-scheduler says", () => {
    const waits = worker(binding, { pod: pod(binding, { bound: false }) });
    expect(judge(waits, node(), LIMITS, at(60))).toBeUndefined();
    expect(judge(waits, node(), LIMITS, at(61))).toEqual({ kind: "hopeless", reason: "it was not bound to its node: Unschedulable: no room" });
  });

  it("is hopeless at once where nothing can help, and after a while where its image doesn't come", () => {
    const wrong = worker({ ...starting, problem: "InvalidImageName: a b", hopeless: true });
    expect(judge(wrong, node(), LIMITS, at(1))).toEqual({ kind: "hopeless", reason: "InvalidImageName: a b" });
    const pulls = worker({ ...starting, problem: "ErrImagePull: no such image", pulling: true });
    expect(judge(pulls, node(), LIMITS, at(180))).toBeUndefined();
    expect(judge(pulls, node(), LIMITS, at(181))).toEqual({ kind: "hopeless", reason: "ErrImagePull: no such image" });
  });

  it("is hopeless when its container doesn't start in time, unless its node may be starting it unheard", () => {
    expect(judge(worker(starting), node(), LIMITS, at(901))).toEqual({ kind: "hopeless", reason: "its container didn't start within 900 s" });
    expect(judge(worker(starting), node({ ready: "Unknown" }), LIMITS, at(901))).toBeUndefined();
  });

  it("isn't judged while it is stopped, given up or leaving, or when it has ended", () => {
    for (const more of [
      { stop: { mode: "kill", at: 0, grace: 0 } as const },
      { givenUp: "why" },
      { pod: pod(starting, { deleting: true }) },
      { alive: false },
      { pod: undefined },
    ] satisfies Partial<Judged>[])
      expect(judge(worker(starting, more), node(), LIMITS, at(1e6))).toBeUndefined();
  });
});
