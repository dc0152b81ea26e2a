import fc from "fast-check";
import type { Scenario, ScenarioJob, ScenarioNode, ScenarioQueue } from "../scenarios/format.ts";

const POOLS = ["p", "r"] as const;
const QUEUES = ["qa", "qb", "qc"] as const;
const amount = (most: number) => fc.option(fc.nat(most), { nil: undefined });

const quotaArb = fc.record({
  nominal: amount(8),
  borrowLimit: fc.constantFrom(undefined, undefined, 0, 2, 5),
  lendLimit: fc.constantFrom(undefined, undefined, 0, 2),
  guarantee: fc.constantFrom(undefined, undefined, undefined, 2),
});
const queueArb = fc.record({
  quotas: fc.tuple(quotaArb, quotaArb),
  parent: fc.constantFrom("d1", "d2"),
  weight: fc.constantFrom(1, 1, 0.5, 2),
  reclaim: fc.constantFrom("any_priority" as const, "any_priority" as const, "any_priority" as const, "lower_priority" as const, "never" as const),
});
const jobArb = fc.record({
  queue: fc.constantFrom(...QUEUES),
  gpu: fc.integer({ min: 1, max: 4 }),
  count: fc.integer({ min: 1, max: 6 }),
  pods: fc.constantFrom(1, 1, 1, 2),
  spare: fc.nat(1),
  priority: fc.constantFrom(0, 0, 0, 1),
  preemptible: fc.constantFrom(true, true, true, true, false),
  pools: fc.constantFrom<string[]>(["p"], ["r"], ["p", "r"], ["r", "p"]),
});

/** Few nodes in two pools, full of small jobs that are alike: where queues may hold too much of one pool and too little of the other. */
export const crowdedArb: fc.Arbitrary<Scenario> = fc
  .record({
    devices: fc.tuple(fc.integer({ min: 1, max: 12 }), fc.nat(12)),
    nodesEach: fc.constantFrom(1, 2),
    tree: fc.boolean(),
    queues: fc.tuple(queueArb, queueArb, queueArb),
    running: fc.array(jobArb, { maxLength: 5 }),
    submit: fc.array(fc.array(jobArb, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 2 }),
    closed: fc.boolean(),
    consolidation: fc.boolean(),
    reclaim: fc.constantFrom("fair_share" as const, "fair_share" as const, "nominal" as const),
  })
  .map(({ devices, nodesEach, tree, queues, running, submit, closed, ...policy }): Scenario => {
    const nodes: Record<string, ScenarioNode> = {};
    for (const [p, pool] of POOLS.entries()) {
      for (let i = 0; i < nodesEach && devices[p]! > i; i++) nodes[pool + i] = { gpu: Math.ceil((devices[p]! - i) / nodesEach), pool };
    }
    const free = new Map(Object.entries(nodes).map(([id, { gpu = 0 }]) => [id, gpu]));
    const runs: ScenarioJob[] = [];
    for (const [i, { count, spare, ...job }] of running.entries()) {
      for (let copy = 0; copy < count; copy++) {
        const on = Object.keys(nodes).find((id) => nodes[id]!.pool === job.pools[0] && free.get(id)! >= job.gpu * job.pods);
        if (on === undefined) break;
        free.set(on, free.get(on)! - job.gpu * job.pods);
        runs.push({ ...job, job: `r${i}-${copy}`, min: Math.max(1, job.pods - spare), on: [on], started: i });
      }
    }
    return {
      id: "crowded",
      title: "",
      source: "ours",
      nodes,
      queues: {
        ...(tree && { d1: {}, d2: {} }),
        ...Object.fromEntries(queues.map(({ parent, quotas, ...queue }, i) => [QUEUES[i]!, { ...queue, ...(tree && { parent }), ...byPool(quotas) }])),
      },
      running: runs,
      steps: submit.map((jobs, s) => ({
        submit: jobs.map(({ spare, ...job }, i) => ({ ...job, job: `j${s}${"abc"[i]!}`, min: Math.max(1, job.pods - spare) })),
        expect: {},
      })),
      policy: { ...policy, unassignedCapacity: closed ? "closed" : "borrowable" },
    };
  });

function byPool(quotas: readonly Record<string, number | undefined>[]): ScenarioQueue {
  const given: Record<string, Record<string, { gpu: number }>> = {};
  for (const [p, quota] of quotas.entries()) {
    for (const [field, gpu] of Object.entries(quota)) if (gpu !== undefined) given[field] = { ...given[field], [POOLS[p]!]: { gpu } };
  }
  return given;
}
