import type { ResolvedJobSpec } from "@muster/model";
import { createEngine, type Explanation, type PlacementEngine } from "@muster/placement";
import { fabricOf, queueInput, specInput, type ClusterShape, type SpecInput } from "@muster/store";
import type { Cluster } from "./cluster-cache.ts";

export interface Verdict {
  fits: boolean;
  /** One sentence. */
  message: string;
  /** The field that is most to blame. */
  path: string;
  wouldFit: readonly string[];
}

const FITS: Verdict = { fits: true, message: "", path: "", wouldFit: [] };
const MOST_KEPT = 5000;
const DEFAULT_LEVELS = ["zone", "spine", "leaf", "domain"];

/** Whether a job could ever run: with every registered node healthy and empty, and every limit unused. */
export class Fit {
  #fingerprint = "";
  #engine: PlacementEngine | undefined;
  readonly #verdicts = new Map<string, Verdict>();

  judge(spec: ResolvedJobSpec, cluster: Cluster): Verdict {
    if (this.#fingerprint !== cluster.fingerprint || !this.#engine) {
      this.#engine = emptyCluster(cluster.shape);
      this.#fingerprint = cluster.fingerprint;
      this.#verdicts.clear();
    }
    const input = specInput(spec);
    const key = JSON.stringify([spec.queue, input.roles, input.variants, input.segments, input.within, input.parallelism]);
    const known = this.#verdicts.get(key);
    if (known) return known;
    const verdict = judge(this.#engine, spec, input);
    if (this.#verdicts.size >= MOST_KEPT) this.#verdicts.clear();
    this.#verdicts.set(key, verdict);
    return verdict;
  }
}

function emptyCluster(shape: ClusterShape): PlacementEngine {
  const engine = createEngine();
  const levels = new Map(shape.pools.map((pool) => [pool.name, pool.spec.fabric_levels ?? DEFAULT_LEVELS]));
  for (const { name, spec } of shape.pools) {
    const { power_budget_watts: powerBudget, device_power_watts: devicePower } = spec;
    engine.putPool({ id: name, ...(powerBudget !== undefined && { powerBudget }), ...(devicePower !== undefined && { devicePower }) });
  }
  for (const node of shape.nodes) {
    engine.putNode({
      id: node.name,
      pool: node.pool,
      accelerator: node.accelerator,
      devices: node.devices,
      cpuMillis: node.cpus,
      memoryBytes: node.memory,
      fabric: fabricOf(node.fabric, levels.get(node.pool) ?? DEFAULT_LEVELS),
      schedulable: true,
    });
  }
  const accelerators = shape.nodes.map((node) => ({ accelerator: node.accelerator }));
  const queues = new Map(shape.queues.map((queue) => [queue.name, queue]));
  const put = new Set<string>();
  const add = (name: string): void => {
    const queue = queues.get(name);
    if (!queue || put.has(name)) return;
    put.add(name);
    if (queue.parent !== null) add(queue.parent);
    engine.putQueue({ ...queueInput(queue, accelerators), paused: false });
  };
  for (const name of queues.keys()) add(name);
  return engine;
}

function judge(engine: PlacementEngine, spec: ResolvedJobSpec, input: SpecInput): Verdict {
  try {
    const plan = engine.plan(
      {
        id: "what-if",
        queue: spec.queue,
        priority: 0,
        preemptible: spec.preemptible,
        submittedAt: 0,
        roles: input.roles,
        variants: input.variants,
        variantPolicy: input.variantPolicy,
        ...(input.segments.length > 0 && { segments: input.segments }),
        ...(input.within && { within: input.within }),
        ...(input.parallelism && { parallelism: input.parallelism }),
      },
      0,
    );
    return plan.start || !plan.explanation ? FITS : verdictOf(plan.explanation);
  } catch (error) {
    return { fits: false, message: `It can't be placed: ${error instanceof Error ? error.message : String(error)}.`, path: "", wouldFit: [] };
  }
}

function verdictOf(explanation: Explanation): Verdict {
  const paths: Partial<Record<Explanation["reason"], string>> = {
    no_matching_pool: "resources",
    exceeds_quota: "queue",
    quota_exhausted: "queue",
    exceeds_topology: "topology",
    topology_fragmented: "topology",
  };
  return {
    fits: false,
    message: `Even with every registered node healthy and empty it could not run: ${explanation.message.replace(/\.?$/, ".")}`,
    path: paths[explanation.reason] ?? "nodes",
    wouldFit: explanation.wouldFitIf,
  };
}
