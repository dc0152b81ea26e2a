import type { WorkerStart } from "@muster/engine";
import { expand, type KubernetesConfig } from "@muster/model";
import type { KubeObject } from "./api.ts";
import * as names from "./names.ts";
import { attemptFolder, checkpointsOf, DIR, ETC, pathVariables, SOURCE } from "./paths.ts";

/*
 * The pod of one worker. Pure: the same start gives the same pod. It is pinned to its node by name, so that kube-scheduler still
 * does device, volume and quota admission there and nowhere else.
 */

export interface PodContext {
  config: KubernetesConfig;
  shard: string;
  /** The node's name in the cluster. */
  node: string;
  bootId: string;
  /** How accelerators are asked for on that node, and what its pool adds. */
  resource: string | undefined;
  runtimeClass?: string | undefined;
  tolerations: KubernetesConfig["tolerations"];
  /** Pods of the attempt here, where they are to be released together; undefined: this one needs no gate. */
  gang: number | undefined;
  /** Objects that its files and its token lie in. */
  scripts: string;
  files: string | undefined;
  tokens: { secret: string; key: string };
  owner: Record<string, unknown> | undefined;
}

/** What must be known of a worker to take it up again; kept in its pod. */
export interface WorkerNotes {
  project: string;
  progress: WorkerStart["progress"];
  watch: WorkerStart["watch"];
  checkpoint: { dir: string; signal?: string; marker?: string; committed?: string; reports: boolean; resumes: boolean };
  firstRank: number;
  ranks: number;
}

export const SERVICE = "muster-workers";

/** Losing sight of a node is no reason for the cluster to end its pods: that is decided elsewhere. */
const STAYS = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map((key) => ({ key, operator: "Exists", effect: "NoExecute" }));

export function workerPod(start: WorkerStart, context: PodContext): KubeObject {
  const { config, gang } = context;
  const { role, rank } = names.roleAndRank(start.worker);
  const name = names.podName(start);
  const { container } = start;
  const pod = volumesOf(start, context);
  const notes = notesOf(start, config);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: config.namespace,
      labels: {
        "app.kubernetes.io/managed-by": "muster",
        [names.KIND]: "worker",
        [names.SHARD]: context.shard,
        [names.JOB]: start.job,
        [names.INCARNATION]: start.incarnation,
        [names.ATTEMPT]: String(start.attempt),
        [names.ROLE]: role,
        [names.RANK]: String(rank),
        "muster.dev/project": start.project,
      },
      annotations: {
        [names.WORKER]: JSON.stringify(notes),
        [names.CONTROL]: "0",
        "muster.dev/node": start.node,
        "muster.dev/boot": context.bootId,
        ...(gang !== undefined && { [names.GANG]: String(gang) }),
      },
      finalizers: [names.FINALIZER],
      ...(context.owner && { ownerReferences: [context.owner] }),
    },
    spec: {
      restartPolicy: "Never",
      ...(gang !== undefined && { schedulingGates: [{ name: names.GANG }] }),
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [context.node] }] }],
          },
        },
      },
      tolerations: tolerations(context),
      priorityClassName: config.priority_class,
      preemptionPolicy: "Never",
      terminationGracePeriodSeconds: Math.max(1, Math.ceil(container?.grace ?? 30)),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...serviceAccount(container?.serviceAccount ?? config.service_account),
      ...(config.network === "host" ? { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" } : { hostname: name, subdomain: SERVICE }),
      ...(context.runtimeClass !== undefined && { runtimeClassName: context.runtimeClass }),
      ...(config.image_pull_secrets.length > 0 && { imagePullSecrets: config.image_pull_secrets.map((one) => ({ name: one })) }),
      securityContext: podSecurity(config),
      volumes: pod.volumes,
      ...(start.source && "git" in start.source && { initContainers: [sourceContainer(start.source, config)] }),
      containers: [
        {
          name: "worker",
          image: imageOf(start, config),
          command: ["/bin/sh", `${ETC}/shim.sh`],
          args: start.argv.map((word) => inert(expand(word, pathVariables(config, start)))),
          env: environment(start, config, notes),
          resources: resources(start, context),
          securityContext: containerSecurity(config),
          volumeMounts: pod.mounts,
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
        },
      ],
    },
  };
}

export function notesOf(start: WorkerStart, config: KubernetesConfig): WorkerNotes {
  const { signal, marker, committed, reports, resumeFrom, dir } = start.checkpoint;
  return {
    project: start.project,
    progress: start.progress,
    watch: start.watch,
    checkpoint: {
      dir: checkpointsOf(config, start, dir).attempt,
      ...(signal !== undefined && { signal }),
      ...(marker !== undefined && { marker }),
      ...(committed !== undefined && { committed }),
      reports,
      resumes: resumeFrom !== undefined,
    },
    firstRank: start.firstRank,
    ranks: start.ranks,
  };
}

export function imageOf(start: WorkerStart, config: KubernetesConfig): string | undefined {
  return start.container?.image ?? config.image;
}

/** Kubernetes expands `$(NAME)` in words and values, and reads `$$` as a dollar; what is text here stays text. */
function inert(text: string): string {
  return text.replaceAll("$", "$$$$");
}

function environment(start: WorkerStart, config: KubernetesConfig, notes: WorkerNotes): Record<string, unknown>[] {
  const paths = pathVariables(config, start);
  const { checkpoint } = notes;
  const { job, kept } = checkpointsOf(config, start, start.checkpoint.dir);
  const checkpoints = checkpoint.signal !== undefined || checkpoint.marker !== undefined || checkpoint.committed !== undefined || checkpoint.resumes;
  const values: Record<string, string> = {
    HOME: DIR,
    TMPDIR: DIR,
    LANG: "C.UTF-8",
    // images that ask for all devices get none where the worker has none
    ...(start.devices.indices.length === 0 && { NVIDIA_VISIBLE_DEVICES: "void" }),
    ...start.container?.env,
  };
  for (const [name, value] of Object.entries(start.env)) values[name] = expand(value, paths);
  const secrets = start.secrets.map(({ env, from }) => ({
    name: env,
    valueFrom: { secretKeyRef: { name: secretOf(start.project), key: from.replaceAll("/", ".") } },
  }));
  const secret = new Set(secrets.map((one) => one.name));
  Object.assign(values, paths, {
    MUSTER_JOB_ID: start.job,
    MUSTER_ATTEMPT: String(start.attempt),
    MUSTER_INCARNATION: start.incarnation,
    MUSTER_ROLE: start.role,
    MUSTER_NODE_RANK: String(start.nodeRank),
    MUSTER_NODE: start.node,
    MUSTER_WORKER: names.workerName(start),
    MUSTER_GRACE: String(Math.max(1, Math.ceil(start.container?.grace ?? 30))),
    MUSTER_REPORTS: checkpoint.reports ? "1" : "0",
    MUSTER_CHECKPOINTS: checkpoints ? "1" : "0",
    // the shim takes what it isn't told for nothing: each variable of a pod costs the API server something at every write
    ...withoutEmpty({
      MUSTER_FILES: start.files.map((file) => file.path).join(" "),
      MUSTER_CHECKPOINT_SIGNAL: checkpoint.signal ?? "",
      MUSTER_MARKER: checkpoint.marker ?? "",
      MUSTER_COMMITTED_DIR: kept ? `${job}/committed` : "",
      MUSTER_RESUME_TARGET: start.checkpoint.resumeFrom ?? "",
      MUSTER_WORKDIR: workdir(start),
    }),
  });
  return [...Object.entries(values).flatMap(([name, value]) => (secret.has(name) ? [] : [{ name, value: inert(value) }])), ...secrets];
}

function withoutEmpty(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
}

function workdir({ source, workdir: below }: WorkerStart): string {
  if (!source) return below ?? "";
  return below === undefined ? SOURCE : `${SOURCE}/${below}`;
}

/** The Secret whose keys the jobs of a project may name. */
export function secretOf(project: string): string {
  return `muster-${project}`;
}

function resources(start: WorkerStart, { resource }: PodContext): Record<string, unknown> {
  const { cpus, memory } = start.limits;
  const { container, devices } = start;
  const amounts: Record<string, string> = {
    cpu: `${Math.round(cpus * 1000)}m`,
    memory: String(memory),
    ...(container?.ephemeralStorage !== undefined && { "ephemeral-storage": String(container.ephemeralStorage) }),
    ...(devices.indices.length > 0 && resource !== undefined && { [resource]: String(devices.indices.length) }),
  };
  return { requests: amounts, limits: amounts };
}

function tolerations({ config, tolerations: ofPool, resource }: PodContext): Record<string, unknown>[] {
  // a node with accelerators is often kept for pods that ask for them by a taint of the resource's name
  const ofResource = resource === undefined ? [] : [{ key: resource, operator: "Exists" }];
  return [...STAYS, ...ofResource, ...config.tolerations, ...ofPool];
}

function serviceAccount(name: string | undefined): Record<string, string> {
  return name === undefined ? {} : { serviceAccountName: name };
}

export function podSecurity({ security, network }: KubernetesConfig): Record<string, unknown> {
  const { uid, gid, root } = security;
  return {
    runAsUser: uid,
    runAsGroup: gid,
    fsGroup: gid,
    fsGroupChangePolicy: "OnRootMismatch",
    runAsNonRoot: !root,
    ...(network === "service" && { seccompProfile: { type: "RuntimeDefault" } }),
  };
}

export function containerSecurity({ security }: KubernetesConfig): Record<string, unknown> {
  return {
    allowPrivilegeEscalation: false,
    privileged: false,
    capabilities: { drop: ["ALL"], ...(security.capabilities.length > 0 && { add: security.capabilities }) },
  };
}

interface Volumes {
  volumes: Record<string, unknown>[];
  mounts: Record<string, unknown>[];
}

function volumesOf(start: WorkerStart, context: PodContext): Volumes {
  const { config } = context;
  const volumes: Record<string, unknown>[] = [
    { name: "muster-etc", projected: { defaultMode: 0o444, sources: etcSources(start, context) } },
    { name: "muster-run", emptyDir: {} },
  ];
  const mounts: Record<string, unknown>[] = [
    { name: "muster-etc", mountPath: ETC, readOnly: true },
    { name: "muster-run", mountPath: DIR },
  ];
  if (start.container?.shm !== undefined) {
    volumes.push({ name: "muster-shm", emptyDir: { medium: "Memory", sizeLimit: String(start.container.shm) } });
    mounts.push({ name: "muster-shm", mountPath: "/dev/shm" });
  }
  if (start.source) {
    volumes.push({ name: "muster-source", emptyDir: {} });
    mounts.push({ name: "muster-source", mountPath: SOURCE });
  }
  const used = new Set<string>();
  const use = (volume: string): string => {
    if (!used.has(volume)) volumes.push(volumeOf(config, volume));
    used.add(volume);
    return volumeName(volume);
  };
  const checkpoints = checkpointsOf(config, start, start.checkpoint.dir);
  if (config.checkpoints) {
    const name = use(config.checkpoints.volume);
    // only its own attempt's folder can be written, and what is committed only read
    mounts.push(
      { name, mountPath: checkpoints.attempt, subPath: `${start.job}/${attemptFolder(start)}` },
      { name, mountPath: `${checkpoints.job}/committed`, subPath: `${start.job}/committed`, readOnly: true },
    );
  }
  for (const { at, from, readOnly } of start.mounts) {
    const [volume, ...below] = from.split("/");
    mounts.push({ name: use(volume as string), mountPath: at, ...(below.length > 0 && { subPath: below.join("/") }), ...(readOnly && { readOnly: true }) });
  }
  return { volumes, mounts };
}

function etcSources(start: WorkerStart, { scripts, files, tokens }: PodContext): Record<string, unknown>[] {
  return [
    { configMap: { name: scripts, items: [{ key: "shim.sh", path: "shim.sh" }] } },
    ...(files === undefined
      ? []
      : [{ configMap: { name: files, items: start.files.map((file, index) => ({ key: `f${index}`, path: `files/${file.path}` })) } }]),
    { secret: { name: tokens.secret, items: [{ key: tokens.key, path: "token" }] } },
    { downwardAPI: { items: [{ path: "control", fieldRef: { fieldPath: `metadata.annotations['${names.CONTROL}']` } }] } },
  ];
}

function volumeName(volume: string): string {
  return `v-${volume.replaceAll(".", "-")}`;
}

export function volumeOf(config: KubernetesConfig, volume: string): Record<string, unknown> {
  const spec = config.volumes[volume];
  const name = volumeName(volume);
  if (spec && "claim" in spec) return { name, persistentVolumeClaim: { claimName: spec.claim } };
  if (spec && "host_path" in spec) return { name, hostPath: { path: spec.host_path, type: "Directory" } };
  return { name, nfs: spec?.nfs };
}

/** Checks a commit out before the worker starts. The address and the commit are words, never part of a script. */
function sourceContainer(source: { git: string; commit: string }, config: KubernetesConfig): Record<string, unknown> {
  return {
    name: "source",
    image: config.helper_image,
    command: ["/bin/sh", "-ec", SOURCE_SCRIPT, "muster-source"],
    args: [source.git, source.commit].map(inert),
    env: [
      { name: "HOME", value: DIR },
      { name: "GIT_TERMINAL_PROMPT", value: "0" },
    ],
    workingDir: SOURCE,
    securityContext: containerSecurity(config),
    volumeMounts: [
      { name: "muster-source", mountPath: SOURCE },
      { name: "muster-run", mountPath: DIR },
    ],
  };
}

const SOURCE_SCRIPT = `git init -q . && git remote add origin "$1"
git -c protocol.allow=never -c protocol.https.allow=always -c protocol.ssh.allow=always -c protocol.http.allow=always fetch -q --depth 1 origin "$2" ||
git -c protocol.allow=never -c protocol.https.allow=always -c protocol.ssh.allow=always -c protocol.http.allow=always fetch -q origin
git -c core.hooksPath=/dev/null checkout -q --detach "$2"`;
