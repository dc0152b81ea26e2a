import { z } from "zod";
import { duration, instant, name, size } from "./units.ts";
import { FABRIC_LEVELS } from "./words.ts";

/*
 * The job spec as people write it. Objects are strict: an unknown field is an error with its path. Durations come
 * out in seconds, sizes in bytes. What no single field can tell (sizes against segments, say) is in validate.ts.
 */

const level = z.enum(FABRIC_LEVELS);
const mode = z.enum(["required", "preferred"]).default("required");
const envName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected a name of letters, digits and '_'");
const noNul = (text: string): boolean => !text.includes("\0");
const text = z.string().max(32_768).refine(noNul, "must not contain a NUL character");
const env = z.record(envName, text);
const run = z
  .array(text, { error: "expected a list of words, such as [python3, train.py]; a script is [bash, -c, ...]" })
  .min(1)
  .max(4096)
  .refine(([command]) => command !== "", "expected a command as the first word");
const absolutePath = z
  .string()
  .max(4096)
  .regex(/^\//, "expected an absolute path")
  .refine(noNul, "must not contain a NUL character")
  .refine((path) => !path.split("/").includes(".."), "must not contain '..'");
const pathBelow = (expected: string) =>
  z
    .string()
    .max(256)
    .regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, expected)
    .refine((path) => !path.split("/").some((part) => part === "." || part === ".."), "must not contain '.' or '..' as a part");
const label = z.record(z.string().min(1).max(128), z.string().max(256));

export const nodesSpec = z.union(
  [
    z.int().min(1).max(100_000),
    z.strictObject({
      min: z.int().min(1).max(100_000),
      max: z.int().min(1).max(100_000),
      step: z.int().min(1).max(100_000).default(1),
    }),
  ],
  { error: "expected a whole number of nodes, or {min, max, step} for an elastic job" },
);

export const resourcesSpec = z.strictObject({
  accelerators: z.int().min(0).max(1024).optional(),
  share: z
    .number()
    .gt(0)
    .lt(1)
    .refine((part) => Math.abs(part * 1000 - Math.round(part * 1000)) < 1e-9, "expected at most three decimals, such as 0.25")
    .optional(),
  cpus: z.number().min(0.001).max(4096).optional(),
  memory: size.optional(),
  shm: size.optional(),
  ephemeral_storage: size.optional(),
});

export const LAUNCHERS = ["exec", "torchrun", "deepspeed", "mpirun", "jax"] as const;
/** Operators of Kubernetes that the whole job may be handed to. */
export const DELEGATED_LAUNCHERS = ["trainjob", "jobset", "rayjob", "mpijob", "pytorchjob"] as const;
const LAUNCHER_KINDS = [...LAUNCHERS, ...DELEGATED_LAUNCHERS] as const;
const launcherObject = z.strictObject({
  kind: z.enum(LAUNCHER_KINDS),
  /** Processes a node; by default one a device, and one where a node has none. */
  ranks_per_node: z.int().min(1).max(1024).optional(),
  /** Further words for the framework's own launcher, put before the program. */
  args: z.array(text).max(256).default([]),
  /** Of a `trainjob`: the ClusterTrainingRuntime that it follows. */
  runtime: name.optional(),
});
export const launcherSpec = z.union([z.enum(LAUNCHER_KINDS).transform((kind): z.output<typeof launcherObject> => ({ kind, args: [] })), launcherObject], {
  error: `expected one of ${LAUNCHER_KINDS.join(", ")}, or {kind, ranks_per_node, args}`,
});

const parallelismSpec = z.strictObject({
  tp: z.int().min(1).optional(),
  pp: z.int().min(1).optional(),
  ep: z.int().min(1).optional(),
  dp: z.int().min(1).optional(),
  cp: z.int().min(1).optional(),
  order: z
    .string()
    .regex(/^(tp|pp|ep|dp|cp)(-(tp|pp|ep|dp|cp))*$/, "expected names joined by '-', such as tp-cp-ep-dp-pp")
    .default("tp-cp-ep-dp-pp"),
});

const topologySpec = z.strictObject({
  segments: z
    .array(z.strictObject({ ranks: z.int().min(1), within: level, mode }))
    .max(8)
    .default([]),
  job: z.strictObject({ within: level, mode }).optional(),
});

const sourceSpec = z.union(
  [
    z.strictObject({
      git: z
        .string()
        .min(1)
        .max(2048)
        .refine(noNul)
        .refine((url) => !url.startsWith("-"), "must not begin with '-'"),
      ref: z
        .string()
        .min(1)
        .max(256)
        .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, "expected a branch, tag or commit")
        .default("HEAD"),
    }),
    z.strictObject({ dir: absolutePath }),
  ],
  { error: "expected {git, ref} or {dir}" },
);

const RULE_ACTIONS = ["retry", "exclude_node", "fail", "ignore", "rollback"] as const;
const regex = z
  .string()
  .min(1)
  .max(1024)
  .refine((pattern) => {
    try {
      return Boolean(new RegExp(pattern));
    } catch {
      return false;
    }
  }, "expected a regular expression");

const ruleSpec = z.strictObject({
  match: z
    .strictObject({ log: regex.optional(), exit_code: z.array(z.int().min(0).max(255)).min(1).optional(), signal: z.array(z.string()).min(1).optional() })
    .refine((match) => Object.keys(match).length > 0, "expected at least one of log, exit_code, signal"),
  action: z.enum(RULE_ACTIONS),
});

export const SIGNALS = ["SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT"] as const;

const checkpointSpec = z.strictObject({
  dir: absolutePath.optional(),
  interval: duration.optional(),
  signal: z.enum(SIGNALS).optional(),
  grace: duration.default(30),
  keep: z.int().min(1).max(1000).default(3),
  /** A regular expression over log lines with named groups `step` and `path`. */
  committed: regex.refine((p) => p.includes("(?<step>"), "expected a named group (?<step>...)").optional(),
  /** A file below the attempt's checkpoint directory whose text is the step, written when a checkpoint is whole. */
  marker: z
    .string()
    .max(255)
    .regex(/^[A-Za-z0-9._-]+$/, "expected a file name")
    .optional(),
  from: z.enum(["rank0", "all_ranks"]).default("rank0"),
});

export const PROGRESS_PRESETS = ["muster", "megatron", "deepspeed", "transformers", "torchtitan"] as const;
const progressSpec = z.union(
  [
    z.strictObject({ preset: z.enum(PROGRESS_PRESETS) }),
    z.strictObject({ pattern: regex.refine((p) => p.includes("(?<step>"), "expected a named group (?<step>...); total, loss and rate are optional") }),
  ],
  { error: `expected {preset: ${PROGRESS_PRESETS.join(" | ")}} or {pattern: REGEX}` },
);

const recoverySpec = z.strictObject({
  max_restarts: z.int().min(0).max(10_000).default(3),
  hang_timeout: duration.optional(),
  hold: duration.default(300),
  partition: z.enum(["wait", "supersede"]).optional(),
  rules: z.array(ruleSpec).max(64).default([]),
});

/** What a role, and so a job of one role, is made of. Every field may be overlaid by a variant. */
const roleFields = {
  accelerator: name.optional(),
  pool: name.optional(),
  image: z.string().max(512).optional(),
  launcher: launcherSpec.optional(),
  nodes: nodesSpec.optional(),
  resources: resourcesSpec.optional(),
  run: run.optional(),
  env: env.optional(),
  parallelism: parallelismSpec.optional(),
};

export const roleSpec = z.strictObject(roleFields);
export const variantSpec = z.strictObject({
  ...roleFields,
  roles: z.record(name, roleSpec).optional(),
  /** Steps a second in comparison with the other variants, for `fastest` and `cheapest`; learned from finished runs where one does not say. */
  throughput: z.number().gt(0).optional(),
});

export const jobSpec = z.strictObject({
  version: z.literal(1, { error: "expected version: 1" }).default(1),
  kind: z.literal("job", { error: "expected kind: job" }).default("job"),
  name,
  description: z.string().max(4096).optional(),
  project: name.default("default"),
  queue: name.default("default"),
  labels: label.default({}),
  priority: name.default("normal"),
  preemptible: z.boolean().default(true),
  source: sourceSpec.optional(),
  workdir: z
    .string()
    .max(1024)
    .refine((p) => !p.startsWith("/") && !p.split("/").includes("..") && noNul(p), "expected a path below the source, without '..'")
    .optional(),
  topology: topologySpec.default({ segments: [] }),
  ...roleFields,
  roles: z.record(name, roleSpec).optional(),
  /** For engines that run images: as whom the workers run there. */
  service_account: name.optional(),
  secrets: z
    .array(
      z.strictObject({
        env: envName,
        from: pathBelow("expected folder/name"),
      }),
    )
    .max(64)
    .default([]),
  mounts: z
    .array(
      z.strictObject({
        at: absolutePath,
        from: pathBelow("expected the name of a volume"),
        read_only: z.boolean().default(false),
      }),
    )
    .max(64)
    .default([]),
  time_limit: duration.optional(),
  expected_duration: duration.optional(),
  start_after: instant.optional(),
  deadline: instant.optional(),
  after: z
    .array(
      z.strictObject(
        { job: z.string().min(1).max(128), on: z.enum(["succeeded", "failed", "finished", "started"]).default("succeeded") },
        { error: ({ code }) => (code === "invalid_type" ? "expected {job: NAME or ID, on: succeeded}" : undefined) },
      ),
    )
    .max(256)
    .default([]),
  array: z.strictObject({ count: z.int().min(1).max(100_000), limit: z.int().min(1).optional() }).optional(),
  checkpoint: checkpointSpec.prefault({}),
  progress: progressSpec.default({ preset: "muster" }),
  preflight: z
    .strictObject({
      run: z.union([z.literal("pairwise"), run], { error: "expected a list of words, such as [check.sh], or pairwise" }),
      timeout: duration.refine((seconds) => seconds >= 1, "expected at least a second").default(300),
    })
    .optional(),
  recovery: recoverySpec.prefault({}),
  variants: z.array(variantSpec).min(1).max(16).optional(),
  variant_policy: z.enum(["ordered", "fastest", "cheapest"]).default("ordered"),
  /** Accept a job that no set of registered nodes could run today. */
  allow_unfit: z.boolean().default(false),
});

export type SubmittedJobSpec = z.input<typeof jobSpec>;
export type ParsedJobSpec = z.output<typeof jobSpec>;
export type RoleSpec = z.output<typeof roleSpec>;
export type LauncherSpec = z.output<typeof launcherSpec>;
export type DelegatedLauncher = (typeof DELEGATED_LAUNCHERS)[number];

/** The operator that a launcher hands the job to; undefined where Muster starts the workers itself. */
export function delegatedTo(launcher: Pick<LauncherSpec, "kind">): DelegatedLauncher | undefined {
  return DELEGATED_LAUNCHERS.find((kind) => kind === launcher.kind);
}
export type ParallelismSpec = z.output<typeof parallelismSpec>;
export type ProgressSpec = z.output<typeof progressSpec>;
export type RecoveryRule = z.output<typeof ruleSpec>;
export type SourceSpec = z.output<typeof sourceSpec>;
