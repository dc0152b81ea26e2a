import fc from "fast-check";
import type { Scenario, ScenarioJob, ScenarioNode, ScenarioQueue } from "../scenarios/format.ts";

const QUEUES = ["qa", "qb", "qc"] as const;
const amount = (most: number) => fc.option(fc.nat(most), { nil: undefined });

const nodeArb = fc.record({ gpu: fc.integer({ min: 1, max: 4 }) });
const queueArb = fc.record({
  parent: fc.constantFrom("d1", "d2"),
  nominal: amount(6),
  borrowLimit: amount(5),
  lendLimit: amount(3),
  guarantee: amount(3),
  weight: fc.constantFrom(0.5, 1, 2, 3),
  order: fc.constantFrom("strict" as const, "best_effort" as const, "best_effort" as const, "least_service" as const),
  reclaim: fc.constantFrom("any_priority" as const, "any_priority" as const, "lower_priority" as const, "never" as const),
  withinQueue: fc.constantFrom("lower_priority" as const, "lower_or_newer_equal" as const, "never" as const),
});
const jobArb = fc.record({
  queue: fc.constantFrom(...QUEUES),
  gpu: fc.integer({ min: 1, max: 3 }),
  pods: fc.integer({ min: 1, max: 4 }),
  spare: fc.nat(2),
  priority: fc.nat(3),
  preemptible: fc.boolean(),
  within: fc.constantFrom(undefined, undefined, "leaf", "?leaf", "spine", "?spine"),
});

/** Small clusters with trees of queues, work that runs and work that comes, all quotas by pool. */
export const scenarioArb: fc.Arbitrary<Scenario> = fc
  .record({
    nodes: fc.array(nodeArb, { minLength: 1, maxLength: 6 }),
    fabric: fc.boolean(),
    tree: fc.boolean(),
    queues: fc.tuple(queueArb, queueArb, queueArb),
    running: fc.array(jobArb, { maxLength: 6 }),
    submit: fc.array(fc.array(jobArb, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
    closed: fc.boolean(),
    consolidation: fc.boolean(),
    reclaim: fc.constantFrom("fair_share" as const, "nominal" as const),
  })
  .map((random): Scenario => {
    const nodes: Record<string, ScenarioNode> = {};
    for (const [i, node] of random.nodes.entries())
      nodes[`n${i}`] = { ...node, pool: "pool", ...(random.fabric && { at: { leaf: `l${i >> 1}`, spine: `s${i >> 2}` } }) };
    const queues: Record<string, ScenarioQueue> = random.tree ? { d1: {}, d2: {} } : {};
    for (const [i, { parent, nominal, borrowLimit, lendLimit, guarantee, ...queue }] of random.queues.entries()) {
      const quota = { nominal, borrowLimit, lendLimit, guarantee };
      const given = Object.entries(quota).filter(([, most]) => most !== undefined);
      queues[QUEUES[i]!] = { ...queue, ...(random.tree && { parent }), ...Object.fromEntries(given.map(([field, gpu]) => [field, { pool: { gpu: gpu! } }])) };
    }
    const free = random.nodes.map((node) => node.gpu);
    const running = random.running.flatMap((job, i): ScenarioJob[] => {
      const on = free.findIndex((left) => left >= job.gpu);
      if (on < 0) return [];
      free[on]! -= job.gpu;
      return [{ job: `r${i}`, queue: job.queue, gpu: job.gpu, priority: job.priority, preemptible: job.preemptible, on: [`n${on}`], started: i }];
    });
    const steps = random.submit.map((jobs, s) => ({
      submit: jobs.map(
        ({ spare, within, ...job }, i): ScenarioJob => ({
          ...job,
          job: `j${s}${"abc"[i]!}`,
          min: Math.max(1, job.pods - spare),
          ...(within !== undefined && random.fabric && { within }),
        }),
      ),
      expect: {},
    }));
    const { closed, consolidation, reclaim } = random;
    return {
      id: "random",
      title: "",
      source: "ours",
      queues,
      nodes,
      running,
      steps,
      policy: { unassignedCapacity: closed ? "closed" : "borrowable", consolidation, reclaim },
    };
  });
