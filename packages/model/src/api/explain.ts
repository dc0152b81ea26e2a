import { z } from "zod";
import { jobSpec } from "../spec.ts";
import { name } from "../units.ts";
import { JOB_STATES, WAIT_REASONS } from "../words.ts";
import { time, amounts } from "./fields.ts";

/** Why a job waits: one dominant reason with the numbers it was judged on. */
export const explainView = z
  .object({
    job: z.string(),
    state: z.enum(JOB_STATES),
    reason: z.enum(WAIT_REASONS).nullable(),
    /** One sentence for people. */
    message: z.string(),
    since: time.nullable(),
    evaluated_at: time,
    need: z.array(
      z.object({
        variant: z.int(),
        role: z.string(),
        nodes: z.int(),
        accelerator: z.string().nullable(),
        pool: z.string().nullable(),
        accelerators_per_node: z.int(),
        share: z.int(),
        cpus: z.number(),
        memory: z.number(),
      }),
    ),
    free: z.array(
      z.object({
        pool: z.string(),
        accelerator: z.string(),
        devices: z.number(),
        whole_nodes: z.int(),
        largest_gang: z.array(z.object({ segment: z.int(), nodes: z.int() })),
      }),
    ),
    filtered: z.array(z.object({ why: z.string(), count: z.int(), sample_nodes: z.array(z.string()) })),
    /** Where the fabric is what keeps it: how many of the nodes that it needs in one block are there, the best blocks first. */
    blocks: z.array(z.object({ block: z.string(), level: z.string(), fits: z.int(), needed: z.int() })).default([]),
    ahead: z.object({ count: z.int(), devices: z.int(), top: z.array(z.string()) }),
    would_fit_if: z.array(z.string()),
    next_step: z.string(),
    eta: z.object({ p50: time, p90: time, basis: z.string() }).nullable(),
  })
  .meta({ id: "Explanation" });
export type ExplainView = z.output<typeof explainView>;

export const planView = z
  .object({
    fits_now: z.boolean(),
    /** Whether it could run with every registered node healthy and empty and every limit unused. */
    could_ever_run: z.boolean(),
    resolved: z.unknown(),
    placement: z
      .object({ variant: z.int(), pool: z.array(z.string()), workers: z.array(z.object({ worker: z.string(), node: z.string(), devices: z.array(z.int()) })) })
      .nullable(),
    explanation: explainView.omit({ job: true, state: true }).nullable(),
    /** Running jobs that would stop or shrink for it, so that it starts all the same; by id those that the asker may see. */
    gives_way: z.object({ count: z.int(), jobs: z.array(z.string()) }).default({ count: 0, jobs: [] }),
  })
  .meta({ id: "Plan" });
export type PlanView = z.output<typeof planView>;

/** A cluster that a plan is made for, as a change of the one there is. */
export const clusterChange = z
  .strictObject({
    /** Nodes that take work again, whatever keeps it from them now, and nodes that take none. */
    return_nodes: z.array(name).max(20_000).default([]),
    cordon_nodes: z.array(name).max(20_000).default([]),
    /** So many more nodes like one that there is, beside it in the fabric. */
    add_nodes: z
      .array(z.strictObject({ like: name, count: z.int().min(1).max(1000) }))
      .max(16)
      .default([]),
    /** Jobs by id that have ended, or were never submitted. */
    without_jobs: z.array(z.string().min(1).max(128)).max(1000).default([]),
    /** Queues with other quotas, or paused or not; what is left out stays as it is. */
    queues: z
      .array(
        z.strictObject({
          name,
          nominal: amounts.optional(),
          borrow_limit: amounts.optional(),
          lend_limit: amounts.optional(),
          limit: amounts.optional(),
          guarantee: amounts.optional(),
          paused: z.boolean().optional(),
        }),
      )
      .max(100)
      .default([]),
  })
  .meta({ id: "ClusterChange" });
export type ClusterChange = z.output<typeof clusterChange>;
export type AskedClusterChange = z.input<typeof clusterChange>;

/** A job as it would be submitted, and the cluster that it is planned for where that is another. */
export const planRequest = jobSpec.extend({ cluster: clusterChange.optional() }).meta({ id: "PlanRequest" });
