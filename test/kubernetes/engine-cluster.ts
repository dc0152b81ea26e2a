import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { KubernetesEngine, KubernetesShard } from "@muster/engine-kubernetes";
import { kubernetesConfig } from "@muster/model";
import { pino } from "pino";
import { parseAllDocuments } from "yaml";
import type { Thing } from "./control-plane/api-client.ts";
import { ControlPlane, type ControlPlaneOptions } from "./control-plane/control-plane.ts";
import type { Kubelet, NodeOptions } from "./kubelet/kubelet.ts";
import { startNodes } from "./kubelet/test-nodes.ts";

const CHART = fileURLToPath(new URL("../../deploy/helm/muster", import.meta.url));
/** What of the chart concerns the engine: who it is, what it may do, and where its workers run. */
const KINDS = ["Namespace", "PriorityClass", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
export const SUPERVISOR = "system:serviceaccount:muster:muster-supervisor";
export const NAMESPACE = "muster-jobs";
export const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;

export interface EngineClusterOptions extends ControlPlaneOptions {
  nodes: readonly NodeOptions[];
  /** Of the shard's settings. */
  config?: object;
}

const logger = pino({ level: process.env["MUSTER_TEST_LOG"] ?? "silent" });

/** A control plane with nodes, and the Kubernetes engine on it with the rights that the chart gives to the supervisor, and no others. */
export class EngineCluster {
  readonly plane: ControlPlane;
  readonly kubelets: Kubelet[];
  readonly rules: Thing[];
  readonly #config: object;
  readonly #shards: KubernetesShard[] = [];

  static async start({ nodes, config = {}, ...options }: EngineClusterOptions): Promise<EngineCluster> {
    const plane = await ControlPlane.start(options);
    const rules = await install(plane);
    return new EngineCluster(plane, await startNodes(plane, nodes), rules, config);
  }

  private constructor(plane: ControlPlane, kubelets: Kubelet[], rules: Thing[], config: object) {
    this.plane = plane;
    this.kubelets = kubelets;
    this.rules = rules;
    this.#config = config;
  }

  /** What a supervisor does that begins to look after the cluster; through a proxy where an address is given. */
  async open(server?: string): Promise<KubernetesEngine> {
    const config = kubernetesConfig.parse({
      kubeconfig: this.plane.kubeconfig(SUPERVISOR, server),
      namespace: NAMESPACE,
      pools: [{ pool: "test" }],
      image: "any",
      helper_image: "any",
      volumes: { checkpoints: { claim: "checkpoints" } },
      checkpoints: { volume: "checkpoints" },
      ...this.#config,
    });
    const shard = await KubernetesShard.open({ shard: "test", config, vendors: { test: "nvidia" }, logger });
    this.#shards.push(shard);
    return new KubernetesEngine(shard);
  }

  /** Another use of what already watches. */
  again(): KubernetesEngine {
    return new KubernetesEngine(this.#shards.at(-1) as KubernetesShard);
  }

  async pods(): Promise<Thing[]> {
    return this.plane.admin.list(PODS);
  }

  node(name: string): Kubelet {
    const kubelet = this.kubelets.find((one) => one.name === name);
    if (!kubelet) throw new Error(`no node ${name}`);
    return kubelet;
  }

  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.close();
    await Promise.all(this.kubelets.map((kubelet) => kubelet.close()));
    await this.plane.stop();
  }
}

/** Applies the chart's objects and a volume for checkpoints; returns the rules of the supervisor's roles. */
async function install(plane: ControlPlane): Promise<Thing[]> {
  const { admin } = plane;
  const env = { ...process.env, HELM_CACHE_HOME: plane.dir, HELM_CONFIG_HOME: plane.dir, HELM_DATA_HOME: plane.dir };
  const { helm } = plane.binaries;
  if (helm === undefined) throw new Error("helm is missing beside the control plane");
  const rendered = execFileSync(helm, ["template", "muster", CHART, "--namespace", "muster"], { encoding: "utf8", env });
  const things = parseAllDocuments(rendered)
    .map((document): Thing => document.toJS())
    .filter((thing) => KINDS.includes(thing?.kind))
    .toSorted((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  await admin.create("/api/v1/namespaces", { metadata: { name: "muster" } });
  for (const thing of things) {
    const base = thing.apiVersion === "v1" ? "/api/v1" : `/apis/${thing.apiVersion}`;
    const { namespace, name } = thing.metadata;
    const plural = `${thing.kind.toLowerCase()}${thing.kind.endsWith("s") ? "es" : "s"}`;
    await admin.patch(`${base}${namespace ? `/namespaces/${namespace}` : ""}/${plural}/${name}?fieldManager=test&force=true`, thing, "apply");
  }
  const { status } = await admin.create("/api/v1/namespaces/muster/serviceaccounts/muster-supervisor/token", { spec: {} });
  plane.addUser(SUPERVISOR, status.token);
  await makeVolume(plane);
  await until("the service account of jobs", () => admin.find(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`));
  return things.filter((thing) => thing.kind === "Role" || thing.kind === "ClusterRole");
}

/** A folder of this machine that all nodes share, as a claim: the namespace allows no host paths. */
async function makeVolume({ admin, dir }: ControlPlane): Promise<void> {
  const path = join(dir, "checkpoints");
  mkdirSync(path);
  chmodSync(path, 0o777);
  chmodSync(dir, 0o755);
  const common = { accessModes: ["ReadWriteMany"], storageClassName: "" };
  const claimRef = { namespace: NAMESPACE, name: "checkpoints" };
  await admin.create("/api/v1/persistentvolumes", {
    metadata: { name: "checkpoints" },
    spec: { ...common, capacity: { storage: "1Gi" }, hostPath: { path }, claimRef },
  });
  const claims = `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims`;
  await admin.create(claims, {
    metadata: { name: "checkpoints" },
    spec: { ...common, volumeName: "checkpoints", resources: { requests: { storage: "1Gi" } } },
  });
  await until("the claim", async () => (await admin.get(`${claims}/checkpoints`)).status.phase === "Bound");
}

export async function until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false, within = 90_000): Promise<T> {
  for (const end = Date.now() + within; ; await delay(30)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error(`${what} didn't come`);
  }
}
