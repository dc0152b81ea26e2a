import type { KubernetesConfig } from "@muster/model";
import type { KubeObject } from "./api.ts";

/* What a node says of itself: devices, place in the fabric, health. Pure. */

export interface NodeView {
  /** As the cluster calls it. */
  name: string;
  labels: Record<string, string>;
  bootId: string;
  address: string;
  /** What pods may use of it, as Kubernetes writes amounts. */
  allocatable: Record<string, string>;
  cordoned: boolean;
  taints: { key: string; value: string; effect: string }[];
  conditions: { type: string; status: string; reason: string; message: string }[];
  deleting: boolean;
}

export function readNode(object: KubeObject): NodeView {
  const { metadata } = object;
  const spec = (object["spec"] ?? {}) as { unschedulable?: boolean; taints?: { key: string; value?: string; effect: string }[] };
  const status = (object["status"] ?? {}) as {
    allocatable?: Record<string, string>;
    addresses?: { type: string; address: string }[];
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
    nodeInfo?: { bootID?: string };
  };
  const addressOf = (type: string): string | undefined => status.addresses?.find((one) => one.type === type)?.address;
  return {
    name: metadata.name as string,
    labels: metadata.labels ?? {},
    bootId: status.nodeInfo?.bootID ?? "",
    address: addressOf("InternalIP") ?? addressOf("Hostname") ?? (metadata.name as string),
    allocatable: status.allocatable ?? {},
    cordoned: spec.unschedulable ?? false,
    taints: (spec.taints ?? []).map(({ key, value = "", effect }) => ({ key, value, effect })),
    conditions: (status.conditions ?? []).map(({ type, status: is, reason = "", message = "" }) => ({ type, status: is, reason, message })),
    deleting: metadata["deletionTimestamp"] !== undefined,
  };
}

/** Whether its kubelet is heard by the control plane. */
export function answers(node: NodeView): boolean {
  return node.conditions.find((one) => one.type === "Ready")?.status !== "Unknown" && node.conditions.some((one) => one.type === "Ready");
}

/** Whether an operator has declared it to be off. */
export function declaredOff(node: NodeView): boolean {
  return node.taints.some((one) => one.key === "node.kubernetes.io/out-of-service");
}

const BAD_WHEN_TRUE = new Set(["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"]);
/** Said by conditions and the cordon already. */
const BY_CONDITIONS = /^node\.kubernetes\.io\/(not-ready|unreachable|unschedulable|memory-pressure|disk-pressure|pid-pressure|network-unavailable)$/;

/** Why no new work may go there; undefined where it may. Silence is not one of the reasons. */
export function unfit(
  node: NodeView,
  config: Pick<KubernetesConfig, "bad_conditions" | "tolerations">,
  tolerations: KubernetesConfig["tolerations"],
  resource: string | undefined,
): string | undefined {
  if (node.deleting) return "it is being deleted from the cluster";
  if (node.cordoned) return "cordoned in Kubernetes";
  for (const { type, status, reason, message } of node.conditions) {
    const bad = type === "Ready" ? status === "False" : status === "True" && (BAD_WHEN_TRUE.has(type) || config.bad_conditions.includes(type));
    if (bad) return `${type === "Ready" ? "not ready" : type}${reason || message ? `: ${[reason, message].filter(Boolean).join(": ")}` : ""}`;
  }
  const tolerated = (taint: NodeView["taints"][number]): boolean =>
    taint.key === resource ||
    [...config.tolerations, ...tolerations].some(
      (one) =>
        (one.key === undefined || one.key === taint.key) &&
        (one.effect === undefined || one.effect === taint.effect) &&
        (one.operator === "Exists" || (one.value ?? "") === taint.value),
    );
  const taint = node.taints.find((one) => one.effect !== "PreferNoSchedule" && !BY_CONDITIONS.test(one.key) && !tolerated(one));
  return taint && `tainted ${taint.key}${taint.value === "" ? "" : `=${taint.value}`}:${taint.effect}`;
}

const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** `250m`, `16Gi`, `1e3` → a number; 0 where it is none. */
export function amount(text: string | number | undefined): number {
  const match = /^([-+]?[\d.]+(?:[eE][-+]?\d+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/.exec(String(text ?? ""));
  return match ? Number(match[1]) * (FACTORS[match[2] ?? ""] as number) : 0;
}

const MODEL_LABELS = [
  "nvidia.com/gpu.product",
  "amd.com/gpu.product-name",
  "beta.amd.com/gpu.product-name",
  "node.kubernetes.io/npu.chip.name",
  "accelerator-type",
  "accelerator",
];

/** Model and memory of its accelerators, as feature discovery and device plugins label them. */
export function deviceFacts({ labels }: NodeView): { model: string | undefined; memory: number } {
  const model = MODEL_LABELS.map((key) => labels[key]).find((value) => value !== undefined);
  // NVIDIA's is in MiB, AMD's such as 64G
  const nvidia = amount(labels["nvidia.com/gpu.memory"]) * 2 ** 20;
  const amd = amount((labels["amd.com/gpu.vram"] ?? labels["beta.amd.com/gpu.vram"])?.replace(/G$/, "Gi"));
  return { model, memory: nvidia || amd };
}

/** What a pod that isn't ours holds of its node; undefined where it holds nothing, or not yet. */
export interface ForeignPod {
  node: string;
  requests: Record<string, number>;
}

export function readForeign(object: KubeObject): ForeignPod | undefined {
  const spec = object["spec"] as {
    nodeName?: string;
    containers?: Asking[];
    initContainers?: (Asking & { restartPolicy?: string })[];
    overhead?: Record<string, string>;
  };
  const phase = (object["status"] as { phase?: string } | undefined)?.phase;
  if (!spec.nodeName || phase === "Succeeded" || phase === "Failed") return undefined;
  const requests: Record<string, number> = {};
  const add = (amounts: Record<string, string> = {}): void => {
    for (const [name, text] of Object.entries(amounts)) requests[name] = (requests[name] ?? 0) + amount(text);
  };
  for (const one of spec.containers ?? []) add({ ...one.resources?.limits, ...one.resources?.requests });
  // side-cars stay; other init containers run one after another, and before the rest
  for (const one of spec.initContainers ?? []) if (one.restartPolicy === "Always") add({ ...one.resources?.limits, ...one.resources?.requests });
  for (const one of spec.initContainers ?? [])
    for (const [name, text] of Object.entries({ ...one.resources?.limits, ...one.resources?.requests }))
      requests[name] = Math.max(requests[name] ?? 0, amount(text));
  add(spec.overhead);
  return { node: spec.nodeName, requests };
}

interface Asking {
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
}
