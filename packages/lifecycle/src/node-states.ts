import type { NodeHealth } from "@muster/model";

/* The health of a node as data: state × event → state. Every change carries a reason, an actor and a time. */

export const NODE_EVENTS = ["cordon", "uncordon", "drain", "drained", "suspected", "cleared", "diagnose", "passed", "proven", "retire"] as const;
export type NodeEvent = (typeof NODE_EVENTS)[number];

export const NODE_TRANSITIONS: Readonly<Record<NodeHealth, Readonly<Partial<Record<NodeEvent, NodeHealth>>>>> = {
  ready: { cordon: "cordoned", uncordon: "ready", drain: "draining", suspected: "suspect", retire: "retired" },
  suspect: { cordon: "cordoned", uncordon: "ready", drain: "draining", suspected: "suspect", cleared: "ready", diagnose: "diagnosing", retire: "retired" },
  cordoned: { cordon: "cordoned", uncordon: "ready", drain: "draining", suspected: "cordoned", diagnose: "diagnosing", retire: "retired" },
  draining: { cordon: "draining", uncordon: "ready", drain: "draining", drained: "cordoned", suspected: "draining", retire: "retired" },
  diagnosing: { cordon: "cordoned", uncordon: "ready", suspected: "diagnosing", passed: "probation", retire: "retired" },
  probation: { cordon: "cordoned", uncordon: "ready", drain: "draining", suspected: "cordoned", proven: "ready", diagnose: "diagnosing", retire: "retired" },
  retired: { uncordon: "ready", retire: "retired" },
};

export function nextNodeHealth(health: NodeHealth, event: NodeEvent): NodeHealth | undefined {
  return NODE_TRANSITIONS[health][event];
}
