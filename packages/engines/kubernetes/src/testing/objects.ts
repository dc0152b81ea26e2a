import { kubernetesConfig, type KubernetesConfig } from "@muster/model";
import { conformanceStart } from "@muster/engine/conformance";
import type { WorkerStart } from "@muster/engine";
import type { KubeObject } from "../api.ts";
import { workerPod, type PodContext } from "../pod.ts";

/* For tests: a start, its pod, and the statuses that kubelets and controllers of Kubernetes 1.37 gave such pods. */

export const KEY = { job: "job_01jd3k8x7v9abcdefghjkmnpqr", incarnation: "7412345678901234", attempt: 3, worker: "worker/1" };

export function someConfig(more: Record<string, unknown> = {}): KubernetesConfig {
  return kubernetesConfig.parse({
    pools: [{ pool: "h100" }],
    image: "registry.example/base:1",
    volumes: { checkpoints: { claim: "checkpoints" }, data: { host_path: "/mnt/data" } },
    checkpoints: { volume: "checkpoints" },
    ...more,
  });
}

export function someStart(more: Partial<WorkerStart> = {}): WorkerStart {
  return conformanceStart(KEY, "node-a", { argv: ["python3", "${MUSTER_DIR}/train.py", "$$HOME"], env: {}, files: [] }, more);
}

export function somePod(start: WorkerStart, context: Partial<PodContext> = {}): KubeObject {
  const pod = workerPod(start, {
    config: someConfig(),
    shard: "east",
    node: "node-a",
    bootId: "boot-1",
    resource: "nvidia.com/gpu",
    tolerations: [],
    gang: undefined,
    scripts: "muster-scripts-x",
    files: undefined,
    tokens: { secret: "muster-tokens-x", key: "k" },
    owner: undefined,
    ...context,
  });
  pod.metadata.uid = "uid-1";
  pod.metadata.resourceVersion = "100";
  pod.metadata["creationTimestamp"] = "2026-11-27T15:00:00Z";
  return pod;
}

/** The same pod later: bound to its node, with a status. */
export function later(pod: KubeObject, status: Record<string, unknown>, more: { bound?: boolean; deleting?: boolean } = {}): KubeObject {
  const { bound = true, deleting = false } = more;
  return {
    ...pod,
    metadata: { ...pod.metadata, ...(deleting && { deletionTimestamp: "2026-11-27T15:01:00Z" }) },
    spec: { ...(pod["spec"] as object), ...(bound && { nodeName: "node-a", schedulingGates: undefined }) },
    status,
  };
}

export function terminated(state: Record<string, unknown>, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { phase: "Failed", containerStatuses: [{ name: "worker", state: { terminated: state } }], ...more };
}
