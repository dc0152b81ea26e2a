import { z } from "zod";
import { DEVICE_VENDORS, NODE_HEALTH } from "../words.ts";
import { time, page } from "./fields.ts";

export const nodeView = z
  .object({
    name: z.string(),
    pool: z.string(),
    shard: z.string(),
    vendor: z.enum(DEVICE_VENDORS),
    accelerator: z.string(),
    fabric: z.array(z.string()),
    address: z.string(),
    devices: z.int(),
    /** Thousandths held of each device. */
    held: z.array(z.int()),
    cpus: z.number(),
    cpus_held: z.number(),
    memory: z.number(),
    memory_held: z.number(),
    labels: z.record(z.string(), z.string()),
    health: z.enum(NODE_HEALTH),
    health_reason: z.string().nullable(),
    health_actor: z.string().nullable(),
    health_since: time,
    drain_deadline: time.nullable(),
    schedulable: z.boolean(),
    reachable: z.boolean(),
    last_seen: time.nullable(),
    jobs: z.array(z.string()),
    spare: z.boolean().optional().describe("held back from work that isn't preemptible"),
    faults: z
      .object({ score: z.number(), episodes: z.int(), since_repair: z.number(), repairs: z.int() })
      .nullish()
      .describe("of its own within 28 days, warnings counted half, and repairs; null: none"),
    version: z.int(),
  })
  .meta({ id: "Node" });
export type NodeView = z.output<typeof nodeView>;
export const nodePage = page(nodeView);
