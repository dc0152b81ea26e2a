import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Component } from "../../test/kubernetes/control-plane/component.ts";
import { ControlPlane } from "../../test/kubernetes/control-plane/control-plane.ts";
import { cpuOf } from "./cpu.ts";

/*
 * A real control plane whose nodes and pods kwok keeps: a pod that is bound there runs at once, and nothing of it is a process.
 */

export const NAMESPACE = "muster-jobs";
export const GPUS = "nvidia.com/gpu";
export const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
/**
 * Who makes the pods, and who keeps them, by the groups that such have in a real cluster: the API server shares itself out by them. An
 * admin's requests go before all others; kube-scheduler's bindings of a gang then pile up until they are refused for ten seconds.
 */
const MAKER = "system:serviceaccount:muster:muster-supervisor";
const KUBELETS = "kwok";
const USERS = { [MAKER]: ["system:serviceaccounts"], [KUBELETS]: ["system:nodes"] };
const STAGES = join(import.meta.dirname, "stages.yaml");
const DEVICES = 8;
const AT_ONCE = 32;
/** Of kube-scheduler and kube-controller-manager alike, whoever makes the pods. */
const CLIENT_QPS = 5000;

export class FakeCluster {
  readonly plane: ControlPlane;
  readonly #kwok: Component;

  static async start(nodes: number): Promise<FakeCluster> {
    // kwok's beats would be most of the load: nobody looks at them within the hour
    const plane = await ControlPlane.start({ clientQps: CLIENT_QPS, nodeGrace: 3600, users: USERS });
    const { kwok } = plane.binaries;
    if (kwok === undefined) throw new Error("kwok is missing beside the control plane");
    const words = [`--kubeconfig=${plane.kubeconfig(KUBELETS)}`, "--manage-all-nodes", "--node-lease-duration-seconds=3600", `--config=${STAGES}`];
    const cluster = new FakeCluster(plane, new Component(kwok, words, join(plane.dir, "kwok.log")));
    try {
      await cluster.#begin(nodes);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  private constructor(plane: ControlPlane, kwok: Component) {
    this.plane = plane;
    this.#kwok = kwok;
  }

  kubeconfig(): string {
    return this.plane.kubeconfig(MAKER);
  }

  /** Takes all pods away at once, and waits until the API server's watchers can know. */
  async purge(): Promise<void> {
    await this.plane.erase(`/registry/pods/${NAMESPACE}/`);
    await until("the last pod's end", async () => (await this.plane.admin.list(`${PODS}?resourceVersion=0`)).length === 0);
    // kube-scheduler, too, is to know that its nodes are free
    await delay(1000);
  }

  /** CPU milliseconds of its parts so far. */
  cpu(): Record<string, number> {
    const { apiserver, etcd, scheduler, manager } = this.plane;
    const parts = { apiserver, etcd, "kube-scheduler": scheduler, "controller-manager": manager, kwok: this.#kwok };
    return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, cpuOf(part.pid ?? 0)]));
  }

  async stop(): Promise<void> {
    await this.#kwok.stop("SIGKILL");
    await this.plane.stop();
  }

  async #begin(nodes: number): Promise<void> {
    const { admin } = this.plane;
    await admin.create("/api/v1/namespaces", { metadata: { name: NAMESPACE } });
    await admin.create("/apis/scheduling.k8s.io/v1/priorityclasses", { metadata: { name: "muster-worker" }, value: 0, preemptionPolicy: "Never" });
    await admin.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      metadata: { name: "bench" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: Object.keys(USERS).map((name) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "User", name })),
    });
    const amounts = { cpu: "128", memory: "1Ti", pods: "110", [GPUS]: String(DEVICES) };
    const status = { allocatable: amounts, capacity: amounts, nodeInfo: { bootID: "boot-1" } };
    await each(
      Array.from({ length: nodes }, (_, index) => nodeName(index)),
      async (name) => {
        await admin.create("/api/v1/nodes", { metadata: { name, labels: { kind: "fake" } }, status });
      },
    );
    this.#kwok.start();
    await until("the nodes, ready", async () => {
      if (this.#kwok.died) throw new Error(`kwok ended: ${this.#kwok.log()}`);
      return (await admin.list("/api/v1/nodes?resourceVersion=0")).every(({ spec, status: now }) => !spec.taints && now.conditions);
    });
    await until("the service account of jobs", () => admin.find(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts/default`));
  }
}

export function nodeName(index: number): string {
  return `fake-${String(index).padStart(4, "0")}`;
}

async function until(what: string, look: () => Promise<unknown>): Promise<void> {
  for (const end = Date.now() + 180_000; !(await look()); await delay(300)) if (Date.now() > end) throw new Error(`${what} didn't come`);
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next < items.length) await work(items[next++] as T);
    }),
  );
}
