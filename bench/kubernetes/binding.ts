import type { WorkerStart } from "@muster/engine";
import { KubeApi, KubernetesEngine, KubernetesShard, PodWriter } from "@muster/engine-kubernetes";
import { kubernetesConfig, type KubernetesConfig } from "@muster/model";
import { pino } from "pino";
import { BoundWatch } from "./bound-watch.ts";
import { FakeCluster, GPUS, NAMESPACE } from "./fake-cluster.ts";

/** Rows that a supervisor's dispatcher takes at once. */
const BATCH = 256;
const GIVE_UP = 240_000;

const logger = pino({ level: process.env["MUSTER_BENCH_LOG"] ?? "silent" });
let runs = 0;

export interface Bound {
  pods: number;
  seconds: number;
  /** Requests of whoever made the pods, from the first to the last pod bound: all, and those that write. */
  calls: number;
  writes: number;
}

/** The Kubernetes engine, told to start all of these as a supervisor tells it. */
export function byMuster(cluster: FakeCluster, starts: readonly WorkerStart[]): Promise<Bound> {
  return withEngine(cluster, (hand) => hand(starts));
}

/** An engine that looks after the cluster, and what hands it starts and waits until their pods are bound. */
export async function withEngine<T>(cluster: FakeCluster, work: (hand: (starts: readonly WorkerStart[]) => Promise<Bound>) => Promise<T>): Promise<T> {
  const config = configOf(cluster);
  const api = await KubeApi.open({ kubeconfig: config.kubeconfig });
  const shard = await KubernetesShard.open({ shard: `bench-${++runs}`, config, vendors: { fake: "nvidia" }, logger, api });
  const engine = new KubernetesEngine(shard);
  try {
    return await work((starts) =>
      timed(cluster, api, starts.length, async () => {
        for (let at = 0; at < starts.length; at += BATCH) await engine.start(starts.slice(at, at + BATCH));
      }),
    );
  } finally {
    await engine.close();
    await shard.close();
  }
}

/** kube-scheduler alone: the same pods without a gate, made by the same writer as fast as the same client can. */
export async function byKubeScheduler(cluster: FakeCluster, starts: readonly WorkerStart[]): Promise<Bound> {
  const config = configOf(cluster);
  const api = await KubeApi.open({ kubeconfig: config.kubeconfig });
  const writer = new PodWriter(api, config, `bench-${++runs}`);
  try {
    await writer.install();
    return await timed(cluster, api, starts.length, async () => {
      const prepared = await writer.prepare(starts);
      await Promise.all(
        starts.map((start) => writer.create(start, { node: start.node, bootId: "boot-1", resource: GPUS, tolerations: [] }, undefined, prepared)),
      );
    });
  } finally {
    await api.close();
  }
}

async function timed(cluster: FakeCluster, api: KubeApi, pods: number, work: () => Promise<void>): Promise<Bound> {
  const own = await KubeApi.open({ kubeconfig: cluster.plane.kubeconfig() });
  const watch = await BoundWatch.start(own);
  try {
    const before = { ...api.sent };
    const began = performance.now();
    await Promise.all([work(), watch.until(pods, GIVE_UP)]);
    const seconds = (performance.now() - began) / 1000;
    const calls = Object.entries(api.sent).map(([method, count]) => ({ method, count: count - (before[method] ?? 0) }));
    const sum = (which: (method: string) => boolean): number => calls.reduce((all, { method, count }) => all + (which(method) ? count : 0), 0);
    return { pods, seconds, calls: sum(() => true), writes: sum((method) => method !== "GET" && method !== "STREAM") };
  } finally {
    watch.stop();
    await cluster.purge();
    await own.close();
  }
}

function configOf(cluster: FakeCluster): KubernetesConfig {
  return kubernetesConfig.parse({
    kubeconfig: cluster.kubeconfig(),
    namespace: NAMESPACE,
    pools: [{ pool: "fake", match: { kind: "fake" } }],
    image: "registry.example/train:1",
    // kwok keeps no logs
    logs: "none",
    bind_timeout: 600,
  });
}
