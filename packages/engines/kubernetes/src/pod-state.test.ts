import { describe, expect, test } from "vitest";
import { readPod } from "./pod-state.ts";
import { KEY, later, somePod, someStart, terminated } from "./testing/objects.ts";

const pod = somePod(someStart());
const stateOf = (...args: Parameters<typeof later> extends [unknown, ...infer Rest] ? Rest : never) => readPod(later(pod, ...args))?.state;

describe("what a pod says of its worker", () => {
  test("labels and annotations give back what it was made for", () => {
    expect(readPod(pod)).toMatchObject({
      key: KEY,
      node: "node-a",
      boot: "boot-1",
      bound: false,
      gang: undefined,
      control: 0,
      notes: { project: "default", ranks: 1 },
    });
    expect(readPod(somePod(someStart(), { gang: 8 }))).toMatchObject({ gated: true, gang: 8, state: { kind: "gated" } });
    expect(readPod({ ...pod, metadata: { ...pod.metadata, labels: {} } })).toBeUndefined();
  });

  test.each([
    [
      { exitCode: 0, reason: "Completed", message: '{"code":0}' },
      { exitCode: 0, signal: null, oom: false },
    ],
    [
      { exitCode: 137, reason: "Error", message: '{"code":137}' },
      { exitCode: 137, signal: null },
    ],
    [
      { exitCode: 137, reason: "Error", message: '{"signal":9}' },
      { exitCode: null, signal: "SIGKILL" },
    ],
    [
      { exitCode: 137, reason: "Error" },
      { exitCode: null, signal: "SIGKILL" },
    ],
    [
      { exitCode: 3, reason: "Error", message: "the program wrote over it" },
      { exitCode: 3, signal: null },
    ],
    [
      { exitCode: 137, reason: "OOMKilled" },
      { exitCode: null, signal: "SIGKILL", oom: true },
    ],
  ])("its kubelet reports %j", (state, expected) => {
    expect(stateOf(terminated(state))).toMatchObject({ kind: "ended", ...expected });
  });

  test("an eviction says why it ended", () => {
    expect(stateOf(terminated({ exitCode: 137 }, { reason: "Evicted", message: "The node was low on resource: memory." }))).toMatchObject({
      kind: "ended",
      reason: "Evicted: The node was low on resource: memory.",
    });
  });

  test.each(["UnexpectedAdmissionError", "OutOfcpu", "NodeShutdown"])("what a kubelet refuses never ran: %s", (reason) => {
    expect(stateOf({ phase: "Failed", reason, message: "Allocate failed due to no healthy devices present" })).toEqual({
      kind: "refused",
      reason: `${reason}: Allocate failed due to no healthy devices present`,
    });
  });

  test("a phase that the control plane wrote confirms nothing", () => {
    const conditions = [{ type: "DisruptionTarget", status: "True", reason: "DeletionByPodGC", message: "PodGC: node no longer exists" }];
    const running = [{ name: "worker", state: { running: { startedAt: "2026-11-27T15:00:10Z" } } }];
    expect(stateOf({ phase: "Failed", conditions, containerStatuses: running }, { deleting: true })).toMatchObject({ kind: "unconfirmed" });
  });

  test("removed before it had a node, it never ran", () => {
    expect(stateOf({ phase: "Pending" }, { bound: false, deleting: true })).toMatchObject({ kind: "lost" });
    expect(stateOf({ phase: "Pending" }, { deleting: true })).toMatchObject({ kind: "waiting", step: "starting" });
  });

  test.each([
    ["ErrImagePull", { pulling: true }],
    ["ImagePullBackOff", { pulling: true }],
    ["InvalidImageName", { hopeless: true }],
    ["CreateContainerConfigError", { hopeless: true }],
  ])("%s is named", (reason, expected) => {
    const containerStatuses = [{ name: "worker", state: { waiting: { reason, message: "manifest unknown" } } }];
    expect(stateOf({ phase: "Pending", containerStatuses })).toEqual({
      kind: "waiting",
      step: "starting",
      problem: `${reason}: manifest unknown`,
      ...expected,
    });
  });

  test("kube-scheduler's reason is passed on; a container on its way up is no problem", () => {
    const conditions = [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/9 nodes are available: 1 Insufficient nvidia.com/gpu." }];
    expect(stateOf({ phase: "Pending", conditions }, { bound: false })).toMatchObject({
      step: "binding",
      problem: expect.stringContaining("Insufficient nvidia.com/gpu") as string,
    });
    const containerStatuses = [{ name: "worker", state: { waiting: { reason: "ContainerCreating" } } }];
    expect(stateOf({ phase: "Pending", containerStatuses })).toEqual({ kind: "waiting", step: "starting" });
  });

  test("a node that booted has lost what ran", () => {
    expect(stateOf(terminated({ exitCode: 137, reason: "ContainerStatusUnknown", message: "could not be located" }))).toMatchObject({ kind: "lost" });
  });
});
