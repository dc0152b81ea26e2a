import { KINDS, suspendPatch, type DelegatedKind } from "./kinds.ts";

/*
 * The operator's own object for one gang. Pure: the same gang gives the same object. It is written suspended and pinned to the
 * gang's nodes, one pod a node, so that kube-scheduler puts it where Muster decided and nowhere else. The operator gives each
 * pod its rank; it restarts nothing, for a restart is a new attempt.
 */

export interface DelegatedGang {
  kind: DelegatedKind;
  name: string;
  namespace: string;
  /** Of the object and of all its pods. */
  labels: Record<string, string>;
  /** The cluster's names of the nodes, in the order of ranks. */
  nodes: readonly string[];
  image?: string | undefined;
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  /** What each node's pod asks for and may use at most. */
  resources: Readonly<Record<string, string>>;
  ranksPerNode: number;
  /** Of a TrainJob: the ClusterTrainingRuntime that it follows. */
  runtime?: string | undefined;
  priorityClass: string;
  tolerations: readonly object[];
  /** Seconds between SIGTERM and SIGKILL. */
  grace: number;
}

/** Label that tells a gang's pods from all others. */
export const GANG_OF = "muster.dev/gang-of";

export interface OperatorObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace: string; labels: Record<string, string>; annotations?: Record<string, string> };
  spec: Record<string, unknown>;
}

export function delegatedObject(gang: DelegatedGang): OperatorObject {
  const { apiVersion, kind } = KINDS[gang.kind];
  const { spec } = suspendPatch(gang.kind, true);
  return {
    apiVersion,
    kind,
    metadata: { name: gang.name, namespace: gang.namespace, labels: labelsOf(gang) },
    spec: merge(SPECS[gang.kind](gang), spec),
  };
}

export function labelsOf(gang: Pick<DelegatedGang, "name" | "labels">): Record<string, string> {
  return { "app.kubernetes.io/managed-by": "muster", ...gang.labels, [GANG_OF]: gang.name };
}

const SPECS: Readonly<Record<DelegatedKind, (gang: DelegatedGang) => Record<string, unknown>>> = {
  jobset: (gang) => ({
    network: { enableDNSHostnames: true, publishNotReadyAddresses: true },
    failurePolicy: { maxRestarts: 0 },
    replicatedJobs: [
      {
        name: "worker",
        replicas: 1,
        template: {
          spec: {
            completionMode: "Indexed",
            completions: gang.nodes.length,
            parallelism: gang.nodes.length,
            backoffLimit: 0,
            template: pod(gang, "worker", gang.nodes, {
              // the index of the Job is the rank of the node; the first pod is where they meet
              MASTER_ADDR: `${gang.name}-worker-0-0.${gang.name}`,
              MASTER_PORT: "29500",
              PET_NNODES: String(gang.nodes.length),
              PET_NPROC_PER_NODE: String(gang.ranksPerNode),
            }),
          },
        },
      },
    ],
  }),

  trainjob: (gang) => ({
    runtimeRef: { name: gang.runtime ?? "torch-distributed" },
    trainer: {
      ...(gang.image !== undefined && { image: gang.image }),
      command: gang.command.map(inert),
      env: variables(gang.env),
      numNodes: gang.nodes.length,
      numProcPerNode: gang.ranksPerNode,
      resourcesPerNode: { limits: gang.resources, requests: gang.resources },
    },
    runtimePatches: [
      {
        manager: "muster.dev/placement",
        trainingRuntimeSpec: {
          template: {
            spec: {
              replicatedJobs: [
                {
                  name: "node",
                  template: {
                    spec: { template: { metadata: { labels: labelsOf(gang) }, spec: { affinity: pinned(gang, gang.nodes), tolerations: gang.tolerations } } },
                  },
                },
              ],
            },
          },
        },
      },
    ],
  }),

  rayjob: (gang) => {
    const [head = "", ...others] = gang.nodes;
    return {
      // Ray hands it to a shell: each word is quoted, so that it stays one
      entrypoint: gang.command.map(quoted).join(" "),
      shutdownAfterJobFinishes: true,
      backoffLimit: 0,
      rayClusterSpec: {
        headGroupSpec: { rayStartParams: {}, template: pod(gang, "ray-head", [head]) },
        workerGroupSpecs:
          others.length === 0
            ? []
            : [
                {
                  groupName: "worker",
                  replicas: others.length,
                  minReplicas: others.length,
                  maxReplicas: others.length,
                  rayStartParams: {},
                  template: pod(gang, "ray-worker", others),
                },
              ],
      },
    };
  },

  mpijob: (gang) => ({
    slotsPerWorker: gang.ranksPerNode,
    runPolicy: { backoffLimit: 0, cleanPodPolicy: "Running" },
    mpiReplicaSpecs: {
      // mpirun itself, on the first node, beside that node's worker
      Launcher: { replicas: 1, restartPolicy: "Never", template: pod({ ...gang, resources: {} }, "launcher", gang.nodes.slice(0, 1), {}, false) },
      Worker: { replicas: gang.nodes.length, restartPolicy: "Never", template: pod({ ...gang, command: [] }, "worker", gang.nodes) },
    },
  }),

  pytorchjob: (gang) => {
    const [master = "", ...others] = gang.nodes;
    return {
      nprocPerNode: String(gang.ranksPerNode),
      runPolicy: { backoffLimit: 0, cleanPodPolicy: "Running" },
      pytorchReplicaSpecs: {
        // the operator counts the master as rank 0
        Master: { replicas: 1, restartPolicy: "Never", template: pod(gang, "pytorch", [master]) },
        ...(others.length > 0 && { Worker: { replicas: others.length, restartPolicy: "Never", template: pod(gang, "pytorch", others) } }),
      },
    };
  },
};

function pod(gang: DelegatedGang, container: string, nodes: readonly string[], env: Record<string, string> = {}, alone = true): object {
  return {
    metadata: { labels: labelsOf(gang) },
    spec: {
      restartPolicy: "Never",
      affinity: pinned(gang, nodes, alone),
      tolerations: gang.tolerations,
      priorityClassName: gang.priorityClass,
      preemptionPolicy: "Never",
      terminationGracePeriodSeconds: gang.grace,
      automountServiceAccountToken: false,
      containers: [
        {
          name: container,
          image: gang.image,
          // Ray's own entrypoint starts Ray in each pod
          ...(gang.kind !== "rayjob" && gang.command.length > 0 && { command: gang.command.map(inert) }),
          env: variables({ ...env, ...gang.env }),
          resources: { limits: gang.resources, requests: gang.resources },
        },
      ],
    },
  };
}

/** To these nodes by name, and no two of the gang on one. */
function pinned(gang: DelegatedGang, nodes: readonly string[], alone = true): object {
  return {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        // one term a node: a term takes one name
        nodeSelectorTerms: nodes.map((node) => ({ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] })),
      },
    },
    ...(alone && {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { [GANG_OF]: gang.name } } }],
      },
    }),
  };
}

function variables(env: Readonly<Record<string, string>>): object[] {
  return Object.entries(env).map(([name, value]) => ({ name, value: inert(value) }));
}

/** In Kubernetes `$(NAME)` is a reference and `$$` a dollar; text of ours is neither. */
function inert(text: string): string {
  return text.replaceAll("$", "$$$$");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function merge(one: Record<string, unknown>, other: object): Record<string, unknown> {
  const merged = { ...one };
  for (const [field, value] of Object.entries(other)) {
    const before = merged[field];
    merged[field] = isObject(before) && isObject(value) ? merge(before, value) : value;
  }
  return merged;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
