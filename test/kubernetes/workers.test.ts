import { randomUUID } from "node:crypto";
import type { Observation, WorkerKey, WorkerStart } from "@muster/engine";
import { conformanceStart } from "@muster/engine/conformance";
import type { KubernetesEngine } from "@muster/engine-kubernetes";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { realBehaviour, script } from "./behaviour.ts";
import type { Thing } from "./control-plane/api-client.ts";
import { EngineCluster, NAMESPACE, PODS, until } from "./engine-cluster.ts";
import { EngineWatch } from "./engine-watch.ts";
import { noControlPlane } from "./ready.ts";

const RUNS = script("echo up; exec sleep 600");

/** What becomes of single workers and their pods, as the cluster shows it; the shard has no volume for checkpoints. */
describe.skipIf(noControlPlane)("workers of the Kubernetes engine", () => {
  let cluster: EngineCluster;
  let engine: KubernetesEngine;
  let watch: EngineWatch;
  let started: WorkerKey[] = [];

  beforeAll(async () => {
    const nodes = ["a", "b"].map((name) => ({ name, devices: { "nvidia.com/gpu": "8" } }));
    cluster = await EngineCluster.start({ nodes, config: { pull_timeout: 3, volumes: {}, checkpoints: undefined } });
    engine = await cluster.open();
  });
  afterAll(async () => {
    await engine?.close();
    await cluster?.close();
  });
  beforeEach(() => {
    started = [];
    watch = new EngineWatch(engine);
  });
  afterEach(async () => {
    await engine.stop(started.map((key) => ({ ...key, mode: "kill", grace: 0 })));
    await until("the end of all", () => started.every((key) => watch.of(key, "exited", "lost", "refused").length > 0));
    await engine.forget(started);
    await until("the last pod's end", async () => (await cluster.pods()).length === 0);
    await watch.close();
  });

  const start = async (program: Parameters<typeof conformanceStart>[2], more: Partial<WorkerStart> = {}, size = 1): Promise<WorkerKey[]> => {
    const job = `job_${randomUUID().slice(0, 8)}`;
    const keys = Array.from({ length: size }, (_, rank) => ({ job, incarnation: "1", attempt: 1, worker: `worker/${rank}` }));
    started.push(...keys);
    await engine.start(keys.map((key, rank) => conformanceStart(key, rank % 2 === 0 ? "a" : "b", program, { gang: size, ...more })));
    return keys;
  };
  const one = async <K extends Observation["kind"]>(key: WorkerKey | undefined, kind: K): Promise<Extract<Observation, { kind: K }>> =>
    (await until(kind, () => watch.of(key as WorkerKey, kind)[0])) as Extract<Observation, { kind: K }>;
  const notices = (key: WorkerKey | undefined): string[] => watch.of(key as WorkerKey, "notice").map((notice) => (notice as { message: string }).message);
  const podOf = async (key: WorkerKey | undefined): Promise<Thing> =>
    (await cluster.pods()).find((pod) => pod.metadata.labels["muster.dev/job"] === key?.job && pod.metadata.labels["muster.dev/rank"] === "0");
  const runnerOf = async (key: WorkerKey | undefined) => {
    const pod = await podOf(key);
    return cluster.node(pod.spec.nodeName).runner(NAMESPACE, pod.metadata.name);
  };
  /** Pods as they were created, before anybody changed them. */
  const created = async (count: number, work: () => Promise<unknown>): Promise<Thing[]> => {
    const { metadata } = await cluster.plane.admin.get(`${PODS}?limit=1`);
    await work();
    const seen: Thing[] = [];
    const stop = new AbortController();
    for await (const { type, object } of cluster.plane.admin.watch(`${PODS}?resourceVersion=${metadata.resourceVersion}`, stop.signal)) {
      if (type === "ADDED") seen.push(object);
      if (seen.length === count) break;
    }
    stop.abort();
    return seen;
  };

  it("one alone is created pinned to its node and without a gate; a gang's pods are created behind a gate, pinned as well", async () => {
    const pinned = (pod: Thing): unknown => pod.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields;
    const [alone] = await created(1, () => start(RUNS));
    expect(alone.spec.schedulingGates).toBeUndefined();
    expect(pinned(alone)).toEqual([{ key: "metadata.name", operator: "In", values: ["a"] }]);
    const gang = await created(2, () => start(RUNS, {}, 2));
    for (const pod of gang) expect(pod.spec).toMatchObject({ schedulingGates: [{ name: "muster.dev/gang" }] });
    expect(new Set(gang.flatMap(pinned).map((field) => (field as Thing).values[0]))).toEqual(new Set(["a", "b"]));
    await until("the gang", () => started.every((key) => watch.of(key, "started").length === 1));
  });

  it("an image that can't be pulled is named while it lasts, and given up with that as the reason, never having started", async () => {
    const [key] = await start(RUNS, { container: { image: "missing/train:1", trusted: true, env: {}, grace: 1 } });
    await until("the notice", () => notices(key).some((text) => text.startsWith("ImagePullBackOff: ") && text.includes("missing/train:1")));
    expect((await one(key, "refused")).reason).toMatch(/^ImagePullBackOff: .*missing\/train:1/);
    expect(watch.of(key as WorkerKey, "started")).toEqual([]);
  });

  it("a program that the kernel ends for want of memory has ended so, and an evicted one says why", async () => {
    const [hungry] = await start(RUNS);
    await one(hungry, "started");
    (await runnerOf(hungry))?.oomKill();
    expect(await one(hungry, "exited")).toMatchObject({ oom: true, exitCode: null, signal: "SIGKILL" });
    const [evicted] = await start(RUNS);
    await one(evicted, "started");
    (await runnerOf(evicted))?.evict("The node was low on resource: ephemeral-storage.");
    expect((await one(evicted, "exited")).reason).toBe("Evicted: The node was low on resource: ephemeral-storage.");
  });

  it("what warns of a pod is told of its worker, once", async () => {
    const [key] = await start(RUNS);
    await one(key, "started");
    const { metadata } = await podOf(key);
    const event = {
      involvedObject: { apiVersion: "v1", kind: "Pod", namespace: NAMESPACE, name: metadata.name, uid: metadata.uid },
      type: "Warning",
      reason: "FailedMount",
      message: "MountVolume.SetUp failed: timed out",
      lastTimestamp: new Date().toISOString(),
    };
    for (const name of ["first", "again"]) await cluster.plane.admin.create(`/api/v1/namespaces/${NAMESPACE}/events`, { metadata: { name }, ...event });
    await until("the notice", () => notices(key).length > 0);
    await cluster.plane.admin.create(`/api/v1/namespaces/${NAMESPACE}/events`, { metadata: { name: "other" }, ...event, reason: "Unhealthy", message: "no" });
    await until("the other notice", () => notices(key).includes("Unhealthy: no"));
    expect(notices(key)).toEqual(["FailedMount: MountVolume.SetUp failed: timed out", "Unhealthy: no"]);
  });

  it("a commit can't be sealed where the shard has no volume for checkpoints, and that is said", async () => {
    const [key] = await start(realBehaviour({ kind: "commit", step: 7 }));
    const commit = await one(key, "checkpoint");
    const { job, incarnation, attempt } = key as WorkerKey;
    await engine.seal([{ job, incarnation, attempt, node: "a", project: "default", step: 7, path: commit.path, name: "7-1", keep: ["7-1"] }]);
    const failed = await until("the refusal", () => watch.all.find((each) => each.kind === "seal_failed" && each.job === job));
    expect(failed).toMatchObject({ reason: expect.stringContaining("no checkpoints volume") });
  });
});
