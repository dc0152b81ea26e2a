import { z } from "zod";
import { duration, name } from "./units.ts";

/*
 * A Kubernetes shard: one cluster, as an operator declares it. Credentials are never part of it: a kubeconfig is named by its
 * path where the supervisor runs, and without one the supervisor's own service account is used.
 */

const path = z
  .string()
  .max(4096)
  .regex(/^\//, "expected an absolute path")
  .refine((one) => !one.split("/").includes("..") && !one.includes("\0"), "must not contain '..'");
const labelKey = z
  .string()
  .max(317)
  .regex(/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/, "expected a key such as topology.kubernetes.io/zone");
const labels = z.record(labelKey, z.string().max(63));

const toleration = z.strictObject({
  key: labelKey.optional(),
  operator: z.enum(["Exists", "Equal"]).default("Exists"),
  value: z.string().max(63).optional(),
  effect: z.enum(["NoSchedule", "PreferNoSchedule", "NoExecute"]).optional(),
});

const poolOfNodes = z.strictObject({
  /** A pool of Muster, declared before. */
  pool: name,
  match: labels.default({}).describe("labels that a node must have; the first pool that fits takes it"),
  resource: labelKey.optional().describe("how its accelerators are asked for; by default that of the pool's vendor"),
  runtime_class: name.optional(),
  tolerations: z.array(toleration).max(32).default([]),
});

const volume = z.union(
  [
    z.strictObject({ claim: name.describe("a PersistentVolumeClaim of the namespace") }),
    z.strictObject({ host_path: path }),
    z.strictObject({ nfs: z.strictObject({ server: z.string().min(1).max(253), path }) }),
  ],
  { error: "expected {claim}, {host_path} or {nfs: {server, path}}" },
);

const projectRules = z.strictObject({
  images: z.array(z.string().min(1).max(512)).max(256).default([]).describe("images that its jobs may name; one that ends in * is a prefix"),
  service_accounts: z.array(name).max(64).default([]),
  volumes: z.array(name).max(64).default([]).describe("of the shard's volumes; one with a host path must also be in host_paths"),
  host_paths: z.array(path).max(64).default([]).describe("folders of nodes, themselves and what is below them"),
});

export const kubernetesConfig = z
  .strictObject({
    kubeconfig: path.optional().describe("a file where the supervisor runs; without it the supervisor's own service account"),
    context: z.string().max(253).optional(),
    namespace: name.default("muster-jobs").describe("where workers run"),
    pools: z.array(poolOfNodes).min(1).max(256),
    node_prefix: z
      .string()
      .max(30)
      .regex(/^([a-z0-9][-a-z0-9.]*)?$/)
      .default("")
      .describe("put before the names of its nodes, where two clusters have some alike"),
    fabric: z.array(labelKey).max(8).default([]).describe("labels that place a node in the fabric, outermost first, as many as the pool's fabric_levels"),
    bad_conditions: z
      .array(z.string().max(317))
      .max(64)
      .default([])
      .describe("node conditions that, when True, keep work away, besides those of Kubernetes itself"),
    network: z
      .enum(["service", "host"])
      .default("service")
      .describe("how workers of a gang meet: by names of a headless Service, or in the network of their nodes"),
    priority_class: name.default("muster-worker").describe("one with preemptionPolicy: Never"),
    tolerations: z.array(toleration).max(32).default([]),
    image: z.string().max(512).optional().describe("for jobs and pools that name none"),
    helper_image: z.string().max(512).optional().describe("with sh and cp, and git where jobs have a source; seals checkpoints"),
    image_pull_secrets: z.array(name).max(16).default([]),
    service_account: name.optional().describe("of workers whose job names none; never given a token"),
    security: z
      .strictObject({
        uid: z.int().min(0).max(2_147_483_647).default(10_001),
        gid: z.int().min(0).max(2_147_483_647).default(10_001),
        root: z.boolean().default(false).describe("whether workers may run as root"),
        capabilities: z
          .array(z.string().regex(/^[A-Z_]{1,64}$/))
          .max(32)
          .default([])
          .describe("added after all are dropped, such as IPC_LOCK for RDMA"),
      })
      .prefault({}),
    volumes: z.record(name, volume).default({}),
    checkpoints: z
      .strictObject({ volume: name, at: path.default("/checkpoints") })
      .optional()
      .describe("the volume that keeps checkpoints; without it they end with their pod, and none can be sealed"),
    projects: z
      .record(z.union([z.literal("*"), name]), projectRules)
      .default({})
      .describe("what jobs of a project may use; * is every project"),
    logs: z.enum(["follow", "none"]).default("follow"),
    start_timeout: duration.default(900).describe("from a pod's release until its container runs"),
    bind_timeout: duration.default(60).describe("from a pod's release until kube-scheduler has bound it"),
    pull_timeout: duration.default(180).describe("how long an image may fail to be pulled"),
  })
  .superRefine((config, context) => {
    const complain = (at: (string | number)[], message: string): void => context.addIssue({ code: "custom", path: at, message });
    if (config.checkpoints && !config.volumes[config.checkpoints.volume])
      complain(["checkpoints", "volume"], `there is no volume ${config.checkpoints.volume}; add it to volumes`);
    for (const [project, rules] of Object.entries(config.projects))
      for (const [index, one] of rules.volumes.entries())
        if (!config.volumes[one]) complain(["projects", project, "volumes", index], `there is no volume ${one}; add it to volumes`);
    if (config.security.uid === 0 && !config.security.root) complain(["security", "uid"], "is root; choose another, or set security.root");
  });
export type KubernetesConfig = z.output<typeof kubernetesConfig>;
export type KubernetesProjectRules = z.output<typeof projectRules>;

/** What asks for a vendor's accelerators, where the shard doesn't say. */
export const VENDOR_RESOURCES: Readonly<Record<string, string>> = { nvidia: "nvidia.com/gpu", ascend: "huawei.com/Ascend910", amd: "amd.com/gpu" };
