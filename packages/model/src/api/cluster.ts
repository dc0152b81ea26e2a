import { z } from "zod";
import { poolSpec, queueSpec, windowSpec, projectSpec, shardSpec } from "./declared.ts";
import { time } from "./fields.ts";

const counted = z.object({ total: z.int(), healthy: z.int(), schedulable: z.int(), held: z.number() });
export const poolView = poolSpec
  .extend({
    version: z.int(),
    nodes: z.object({ total: z.int(), healthy: z.int(), schedulable: z.int() }),
    devices: counted,
    running_jobs: z.int(),
    largest_gang: z.array(z.object({ segment: z.int(), nodes: z.int() })),
    spare_state: z
      .object({
        held_back: z.int().describe("now"),
        lent: z.int().describe("of those, with preemptible work on them"),
        advised: z.int().describe("the 99th percentile of the binomial distribution: of 100 such times of replenishment, one needs more"),
        nodes: z.int(),
        failures: z.int().describe("within node_days"),
        node_days: z.number(),
        daily_rate: z.number().describe("failures of one node in a day; what is published counts as 100 node-days"),
        repairs: z.int().describe("nodes that came back"),
        replenish_days: z.number().describe("until a node that failed is back; what is published counts as three repairs"),
      })
      .optional(),
  })
  .meta({ id: "Pool" });
export type PoolView = z.output<typeof poolView>;
export const queueView = queueSpec
  .extend({ version: z.int(), waiting: z.object({ jobs: z.int(), devices: z.int() }), active: z.object({ jobs: z.int(), devices: z.int() }) })
  .meta({ id: "Queue" });
export type QueueView = z.output<typeof queueView>;
export const windowView = windowSpec.extend({ version: z.int(), state: z.enum(["coming", "open", "over"]), node_count: z.int() }).meta({ id: "Window" });
export const shardView = shardSpec
  .extend({
    version: z.int(),
    /** As it was put, with defaults filled in. */
    config: z.record(z.string(), z.unknown()),
    reachable: z.boolean(),
    last_seen: time.nullable(),
    node_count: z.int(),
  })
  .meta({ id: "Shard" });
export type ShardView = z.output<typeof shardView>;
export type WindowView = z.output<typeof windowView>;
export const projectView = projectSpec.extend({ version: z.int() }).meta({ id: "Project" });
export type ProjectView = z.output<typeof projectView>;
