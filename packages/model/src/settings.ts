import { z } from "zod";
import { faultRules } from "./fault-rules.ts";
import { duration, name, size } from "./units.ts";

/*
 * What an operator decides for the whole cluster, followed live by all services. What is absent, or null, has its default.
 * Durations are seconds, or texts such as 5m; sizes bytes, or texts such as 64Gi.
 */

const kept = duration.refine((seconds) => seconds >= 86_400, "expected at least 1d").describe("seconds, or text such as 30d");

export const placementSettings = z.strictObject({
  protected_runtime: duration.optional().describe("running time during which a job may not be evicted or moved"),
  reclaim: z
    .enum(["fair_share", "nominal", "never"])
    .optional()
    .describe(
      "what is taken back from queues that hold more than is theirs: also surplus above their fair share, only what was lent of a nominal quota, or nothing",
    ),
  fair_share_margin: z
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe("part of the cluster by which a queue's share must exceed another's before work is evicted to even them out"),
  unassigned_capacity: z.enum(["borrowable", "closed"]).optional().describe("whether capacity that no queue is guaranteed may be borrowed"),
  usage_half_life: duration.optional().describe("of past usage in the fair order; 0 counts present usage only"),
  backfill: z.enum(["dated", "greedy"]).optional().describe("whether the dated reservation of a blocked job holds back later jobs"),
  reservations: z.int().min(0).max(1000).optional().describe("dated reservations kept at a time"),
  consolidation: z.boolean().optional().describe("move running jobs when a waiting gang can start by it"),
  max_cross_zone_jobs: z.int().min(0).max(1_000_000).nullable().optional().describe("jobs that may span zones at a time; null is any number"),
});
export type PlacementSettings = z.output<typeof placementSettings>;

export const retentionSettings = z.strictObject({
  jobs: kept.optional().describe("how long finished jobs are kept"),
  events: kept.optional().describe("how long events are kept"),
  logs: kept.optional().describe("how long output is kept after its last line"),
  logs_total: size.nullable().optional().describe("bytes of output kept in all, the oldest going first; null is any number"),
});

export const silenceSettings = z.strictObject({
  suspect_after: duration
    .refine((seconds) => seconds >= 10 && seconds <= 3600, "expected 10s to 1h")
    .optional()
    .describe("silence after which a node is suspect"),
  lost_after: duration
    .refine((seconds) => seconds >= 10 && seconds <= 86_400, "expected 10s to 1d")
    .optional()
    .describe("silence after which a node is lost"),
  brake_fraction: z.number().gt(0).max(1).optional().describe("the brake holds where more than this part of all nodes falls silent at once..."),
  brake_nodes: z.int().min(1).max(1_000_000).optional().describe("...and at least so many"),
  brake_release: duration
    .refine((seconds) => seconds >= 60, "expected at least 1m")
    .optional()
    .describe("how long the control plane must have been well for the brake to lift by itself"),
});
export type SilenceSettings = z.output<typeof silenceSettings>;

export const nodeSettings = z.strictObject({
  quarantine: z.number().gt(0).max(1).optional().describe("of a pool's nodes, the part that may be taken out of service without a person; one always may"),
  lemon_score: z
    .number()
    .min(1)
    .max(1000)
    .nullable()
    .optional()
    .describe("faults within 28 days, counted since its last repair, at which a node's work is to leave it; null only shows the score"),
  retire_after: z
    .int()
    .min(1)
    .max(100)
    .nullable()
    .optional()
    .describe("repairs within 28 days after which a node that breaks again is retired; null is any number"),
});

const priority = z.int().min(-1_000_000).max(1_000_000);

/** The settings as an operator puts them, as a whole: what is left out has its default again. */
export const clusterSettings = z
  .strictObject({
    placement: placementSettings.optional(),
    priorities: z
      .record(name, priority)
      .refine((classes) => Object.keys(classes).length <= 100, "expected at most 100 classes")
      .optional()
      .describe(
        "priority classes by name, besides low, normal, high and critical, which may be given other numbers; a job keeps the number that its class had when it was submitted",
      ),
    retention: retentionSettings.optional(),
    rules: faultRules.optional().describe("what ends of workers are taken for, besides the built-in rules"),
    silence: silenceSettings.optional(),
    nodes: nodeSettings.optional(),
  })
  .meta({ id: "ClusterSettings" });
export type ClusterSettings = z.output<typeof clusterSettings>;

/* The same as they are given: in seconds and bytes. */
const given = z.number().optional();
const placementGiven = placementSettings.extend({ protected_runtime: given, usage_half_life: given });
const retentionGiven = retentionSettings.extend({ jobs: given, events: given, logs: given, logs_total: z.number().nullable().optional() });
const silenceGiven = silenceSettings.extend({ suspect_after: given, lost_after: given, brake_release: given });
const priorities = z.record(name, priority);

/** All settings, with what holds where nothing was put. */
export const effectiveSettings = z
  .object({
    placement: placementGiven.required(),
    priorities,
    retention: retentionGiven.required(),
    rules: faultRules,
    silence: silenceGiven.required(),
    nodes: nodeSettings.required(),
  })
  .refine((settings) => settings.silence.lost_after >= settings.silence.suspect_after, {
    path: ["silence", "lost_after"],
    message: "expected at least silence.suspect_after",
  })
  .meta({ id: "EffectiveSettings" });
export type EffectiveSettings = z.output<typeof effectiveSettings>;

const declaredSettings = z
  .object({ placement: placementGiven, priorities, retention: retentionGiven, rules: faultRules, silence: silenceGiven, nodes: nodeSettings })
  .partial()
  .meta({ id: "DeclaredSettings" });

export const settingChange = z.object({
  path: z.string().describe("such as placement.backfill"),
  from: z.unknown().optional().describe("what held before; absent where it is new"),
  to: z.unknown().optional().describe("what holds then; absent where it is gone"),
});
export type SettingChange = z.output<typeof settingChange>;

export const clusterView = z
  .object({
    id: z.string(),
    incarnation: z.string(),
    starts_paused: z.boolean(),
    starts_paused_reason: z.string().nullable(),
    brake: z
      .object({ incident: z.string(), since: z.iso.datetime() })
      .nullable()
      .describe("since when nodes are not declared lost, because many fell silent at once"),
    settings: effectiveSettings.describe("what holds, defaults included"),
    declared: declaredSettings.describe("what was put"),
    version: z.int().describe("of the settings"),
  })
  .meta({ id: "Cluster" });
export type ClusterView = z.output<typeof clusterView>;

export const putSettingsView = clusterView.extend({ changes: z.array(settingChange) }).meta({ id: "ClusterChanged" });
export type PutSettingsView = z.output<typeof putSettingsView>;

export const newIncarnationBody = z.strictObject({ reason: z.string().trim().min(1).max(1024) });
export const liftBrakeBody = z.strictObject({ reason: z.string().max(1024).default("") }).prefault({});
