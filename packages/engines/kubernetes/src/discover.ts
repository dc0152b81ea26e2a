import type { KubernetesConfig } from "@muster/model";
import { amount, answers, declaredOff, deviceFacts, unfit, type NodeView } from "./node-view.ts";

/* A node of the cluster as Muster counts it. Pure. */

export interface DiscoveredNode {
  name: string;
  pool: string;
  /** From the outermost level inwards, as far as its labels go. */
  fabric: string[];
  devices: number;
  deviceMemory: number;
  cpuMillis: number;
  memory: number;
  address: string;
  labels: Record<string, string>;
  bootId: string;
  /** Why no new work may go there. */
  unfit: string | undefined;
  /** Whether its kubelet answers. */
  answers: boolean;
  /** An operator said that it is off. */
  off: boolean;
}

const MAX_LABELS = 64;

export function discover(
  node: NodeView,
  pool: KubernetesConfig["pools"][number],
  resource: string | undefined,
  held: ReadonlyMap<string, number>,
  config: KubernetesConfig,
): DiscoveredNode {
  const left = (name: string): number => Math.max(0, amount(node.allocatable[name]) - (held.get(name) ?? 0));
  const { model, memory } = deviceFacts(node);
  return {
    name: config.node_prefix + node.name,
    pool: pool.pool,
    fabric: fabricOf(node, config.fabric),
    devices: resource === undefined ? 0 : Math.min(1024, Math.floor(left(resource))),
    deviceMemory: memory,
    cpuMillis: Math.floor(left("cpu") * 1000),
    memory: Math.floor(left("memory")),
    address: node.address,
    labels: Object.fromEntries(
      [...Object.entries(model === undefined ? {} : { "accelerator-model": model }), ...Object.entries(node.labels)].slice(0, MAX_LABELS),
    ),
    bootId: node.bootId,
    unfit: unfit(node, config, pool.tolerations, resource),
    answers: answers(node),
    off: declaredOff(node),
  };
}

/** A level whose label is missing ends the path: nothing further in can be named without it. */
function fabricOf({ labels }: NodeView, keys: readonly string[]): string[] {
  const fabric: string[] = [];
  for (const key of keys) {
    const name = labels[key];
    if (name === undefined || name === "") break;
    fabric.push(name);
  }
  return fabric;
}
