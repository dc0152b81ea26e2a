import { createEngine } from "../engine.ts";
import type { JobInput, NodeInput, PlacementEngine, Policy } from "../index.ts";

/* A queue "q" and whole nodes of eight devices in one pool, for tests that tell a short story. */

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export function node(id: string, more: Partial<NodeInput> = {}): NodeInput {
  return { id, pool: "a", accelerator: "h800", devices: 8, cpuMillis: 64_000, memoryBytes: 1e12, schedulable: true, ...more };
}

let submitted = 0;
export function job(id: string, nodes: number, more: Partial<JobInput> = {}, devices = 8): JobInput {
  return {
    id,
    queue: "q",
    priority: 0,
    preemptible: false,
    submittedAt: ++submitted,
    roles: [{ name: "worker", nodes: { min: nodes, max: nodes }, resources: { accelerators: devices } }],
    ...more,
  };
}

export function cluster(nodes: number, policy: Partial<Policy> = {}): PlacementEngine {
  const engine = createEngine({ policy });
  engine.putQueue({ id: "q" });
  for (let i = 0; i < nodes; i++) engine.putNode(node(`n${i}`));
  return engine;
}

export const started = (engine: PlacementEngine, now: number): string[] => engine.cycle(now).starts.map((start) => start.job);
