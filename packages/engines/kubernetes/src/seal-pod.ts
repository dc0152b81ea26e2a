import { posix } from "node:path";
import type { AttemptKey, SealCheckpoint } from "@muster/engine";
import type { KubernetesConfig } from "@muster/model";
import type { KubeObject } from "./api.ts";
import * as names from "./names.ts";
import { attemptFolder, checkpointsOf, ETC } from "./paths.ts";
import { timeOf } from "./pod-state.ts";
import { containerSecurity, podSecurity, volumeOf } from "./pod.ts";

/*
 * A checkpoint is sealed by a pod of its own, which sees the whole of the job's folder, as no worker does. Its name is that of
 * the checkpoint, so that asking twice makes one.
 */

export interface SealView {
  name: string;
  uid: string;
  key: AttemptKey;
  step: number;
  sealed: string;
  path: string;
  /** Milliseconds since 1970. */
  createdAt: number;
  result?: { ok: true } | { ok: false; reason: string };
}

const NOTE = "muster.dev/seal";

/** The path below the attempt's folder; undefined where it isn't there. */
export function belowAttempt(commit: SealCheckpoint, config: KubernetesConfig): string | undefined {
  const { attempt } = checkpointsOf(config, commit, commit.dir);
  const path = posix.normalize(commit.path);
  return path.startsWith(`${attempt}/`) && path.length > attempt.length + 1 ? path.slice(attempt.length + 1).replace(/\/$/, "") : undefined;
}

export function sealPod(
  commit: SealCheckpoint,
  below: string,
  {
    config,
    shard,
    scripts,
    node,
    owner,
  }: { config: KubernetesConfig; shard: string; scripts: string; node: string; owner: Record<string, unknown> | undefined },
): KubeObject {
  const { job } = checkpointsOf(config, commit, commit.dir);
  const volume = config.checkpoints?.volume as string;
  const mounted = volumeOf(config, volume);
  const note = { step: commit.step, name: commit.name, path: `${job}/committed/${commit.name}` };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: names.sealName(commit, commit.name),
      labels: {
        "app.kubernetes.io/managed-by": "muster",
        [names.KIND]: "seal",
        [names.SHARD]: shard,
        [names.JOB]: commit.job,
        [names.INCARNATION]: commit.incarnation,
        [names.ATTEMPT]: String(commit.attempt),
      },
      annotations: { [NOTE]: JSON.stringify(note) },
      ...(owner && { ownerReferences: [owner] }),
    },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      priorityClassName: config.priority_class,
      preemptionPolicy: "Never",
      terminationGracePeriodSeconds: 5,
      // a folder of a node is to be found there alone
      ...("hostPath" in mounted && {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }],
            },
          },
        },
      }),
      tolerations: [{ operator: "Exists" }],
      ...(config.image_pull_secrets.length > 0 && { imagePullSecrets: config.image_pull_secrets.map((name) => ({ name })) }),
      securityContext: podSecurity(config),
      volumes: [mounted, { name: "muster-etc", projected: { sources: [{ configMap: { name: scripts, items: [{ key: "seal.sh", path: "seal.sh" }] } }] } }],
      containers: [
        {
          name: "seal",
          image: config.helper_image ?? config.image,
          command: ["/bin/sh", `${ETC}/seal.sh`],
          args: [job, attemptFolder(commit), below, commit.name, ...commit.keep],
          resources: { requests: { cpu: "10m", memory: "32Mi" } },
          securityContext: containerSecurity(config),
          volumeMounts: [
            { name: mounted["name"], mountPath: job, subPath: commit.job },
            { name: "muster-etc", mountPath: ETC, readOnly: true },
          ],
        },
      ],
    },
  };
}

/** Undefined where the object is no seal of ours. */
export function readSeal(object: KubeObject): SealView | undefined {
  const { metadata } = object;
  const labels = metadata.labels ?? {};
  if (labels[names.KIND] !== "seal") return undefined;
  let note: { step: number; name: string; path: string };
  try {
    note = JSON.parse(metadata.annotations?.[NOTE] ?? "") as typeof note;
  } catch {
    return undefined;
  }
  const status = (object["status"] ?? {}) as {
    phase?: string;
    reason?: string;
    message?: string;
    containerStatuses?: { state?: { terminated?: { exitCode: number; reason?: string; message?: string } } }[];
  };
  const terminated = status.containerStatuses?.[0]?.state?.terminated;
  const over = terminated !== undefined || status.phase === "Failed" || status.phase === "Succeeded";
  const said = terminated?.message?.trim() ?? "";
  const seen = [status.reason ?? terminated?.reason, status.message, terminated && `code ${terminated.exitCode}`, said].filter(Boolean).join(": ");
  const reason = said.startsWith("failed ") ? said.slice("failed ".length) : `the pod that was to seal it failed: ${seen}`;
  return {
    name: metadata.name as string,
    uid: metadata.uid ?? "",
    key: { job: labels[names.JOB] as string, incarnation: labels[names.INCARNATION] as string, attempt: Number(labels[names.ATTEMPT]) },
    step: note.step,
    sealed: note.name,
    path: note.path,
    createdAt: timeOf(metadata["creationTimestamp"]),
    ...(over && { result: said === "sealed" ? { ok: true as const } : { ok: false as const, reason } }),
  };
}
