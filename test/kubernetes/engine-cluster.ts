import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KubernetesEngine, KubernetesShard } from "@muster/engine-kubernetes";
import { kubernetesConfig } from "@muster/model";
import { pino } from "pino";
import { installRoles, SUPERVISOR } from "./chart-roles.ts";
import type { Thing } from "./control-plane/api-client.ts";
import { ControlPlane, type ControlPlaneOptions } from "./control-plane/control-plane.ts";
import type { Kubelet, NodeOptions } from "./kubelet/kubelet.ts";
import { startNodes } from "./kubelet/test-nodes.ts";

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
    const rules = await installRoles(plane);
    await makeVolume(plane);
    await until("the service account of jobs", () => plane.admin.find(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`));
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
