import { z } from "zod";
import { kubernetesConfig } from "../kubernetes.ts";
import { instant, name, size } from "../units.ts";
import { DEVICE_VENDORS, FABRIC_LEVELS, ROLES } from "../words.ts";
import { amounts } from "./fields.ts";

const labels = z.record(z.string().min(1).max(128), z.string().max(256));

/* Declarative things: PUT with ?dry_run=true, and the documents of `muster apply -f` (with `kind`). */

export const poolSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("pool").default("pool"),
    name,
    engine: z.enum(["local", "simulated", "kubernetes"]).default("local"),
    vendor: z.enum(DEVICE_VENDORS),
    accelerator: name,
    site: name.default("here"),
    /** The site's fabric levels, outermost first, each mapped onto the ladder of job specs. */
    fabric_levels: z.array(z.enum(FABRIC_LEVELS)).max(8).default(["zone", "spine", "leaf", "domain"]),
    ownership: z.enum(["owned", "leased", "cloud"]).default("owned"),
    price_per_device_hour: z.number().min(0).default(0),
    lease_end: instant.optional(),
    /** Watts that the pool may draw, and what one busy device draws; together they bound the devices in use at a time. */
    power_budget_watts: z.number().min(0).optional(),
    spares: z
      .union([z.literal("auto"), z.int().min(0).max(100_000)])
      .default(0)
      .describe("nodes held back from work that isn't preemptible and comes from no fault; auto: as many as its failures and repairs call for"),
    device_power_watts: z.number().gt(0).optional(),
    runtime: z.strictObject({ image: z.string().max(512).optional(), env: z.record(z.string(), z.string()).default({}) }).prefault({}),
    labels: labels.default({}),
  })
  .meta({ id: "PoolSpec" });

export const nodeSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("node").default("node"),
    name,
    pool: name,
    /** The agent or cluster that keeps it; by default one named like the pool. */
    shard: name.optional(),
    fabric: z.array(name).max(8).default([]),
    devices: z.int().min(0).max(1024),
    device_memory: size.default(0),
    cpus: z.number().min(0).max(4096),
    memory: size,
    address: z.union([z.ipv4(), z.ipv6(), z.hostname()]).default("127.0.0.1"),
    labels: labels.default({}),
  })
  .meta({ id: "NodeSpec" });

export const queueSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("queue").default("queue"),
    name,
    parent: name.optional(),
    /** Who may submit to it; ["*"] is every project. */
    projects: z.array(z.union([z.literal("*"), name])).default([]),
    /** Devices by accelerator model or pool; absent: no quota of its own, and no limit. */
    nominal: amounts.optional(),
    borrow_limit: amounts.optional(),
    lend_limit: amounts.optional(),
    /** Most that it may ever use, also where no nominal is set. */
    limit: amounts.optional(),
    /** What others never take back of it, if more than nominal. */
    guarantee: amounts.optional(),
    /** Whom it may evict in other queues to get its own back; by default any_priority. */
    reclaim: z.enum(["any_priority", "lower_priority", "never"]).optional(),
    /** Whom its jobs may evict within it; by default lower_priority. */
    within_queue: z.enum(["lower_priority", "lower_or_newer_equal", "never"]).optional(),
    weight: z.number().gt(0).max(1_000_000).default(1),
    order: z.enum(["best_effort", "strict", "least_service"]).default("best_effort"),
    paused: z.boolean().default(false),
  })
  .meta({ id: "QueueSpec" });

/** Nodes kept free for a time. Without `jobs` and `queues` it is maintenance, with them a reservation for these. */
export const windowSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("window").default("window"),
    name,
    /** Nodes by name, all of a pool, or those of a pool in one block of its fabric, named from the outermost level inwards. */
    nodes: z.array(name).max(20_000).default([]),
    pool: name.optional(),
    block: z.array(name).max(8).default([]),
    start: instant,
    end: instant,
    jobs: z.array(z.string().min(1).max(128)).max(1000).default([]),
    queues: z.array(name).max(1000).default([]),
    reason: z.string().max(1024).default(""),
  })
  .meta({ id: "WindowSpec" });

export const projectSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("project").default("project"),
    name,
    description: z.string().max(1024).default(""),
    members: z.record(z.string().min(1).max(128), z.enum(ROLES)).default({}),
  })
  .meta({ id: "ProjectSpec" });

/** A cluster elsewhere. The agents of the local engine are shards of their own, which nobody declares. */
export const shardSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("shard").default("shard"),
    name,
    engine: z.literal("kubernetes").default("kubernetes"),
    config: kubernetesConfig,
  })
  .meta({ id: "ShardSpec" });

export const applyDocument = z.discriminatedUnion("kind", [
  poolSpec.extend({ kind: z.literal("pool") }),
  nodeSpec.extend({ kind: z.literal("node") }),
  queueSpec.extend({ kind: z.literal("queue") }),
  projectSpec.extend({ kind: z.literal("project") }),
  windowSpec.extend({ kind: z.literal("window") }),
  shardSpec.extend({ kind: z.literal("shard") }),
]);

export type PoolSpec = z.output<typeof poolSpec>;
export type NodeSpec = z.output<typeof nodeSpec>;
export type QueueSpec = z.output<typeof queueSpec>;
export type ProjectSpec = z.output<typeof projectSpec>;
export type WindowSpec = z.output<typeof windowSpec>;
export type ShardSpec = z.output<typeof shardSpec>;
