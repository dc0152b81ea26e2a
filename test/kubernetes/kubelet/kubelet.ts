import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ApiClient, type Thing } from "../control-plane/api-client.ts";
import type { ControlPlane } from "../control-plane/control-plane.ts";
import { LogServer } from "./log-server.ts";
import type { PodNames } from "./pod-names.ts";
import { PodRunner } from "./pod.ts";
import { Resources, type Rejection } from "./resources.ts";

const HEARTBEAT = 1000;
const RETRY = 200;

export interface NodeOptions {
  name: string;
  labels?: Record<string, string>;
  /** Beyond cpu, memory and the like: `{"nvidia.com/gpu": "8"}`. */
  devices?: Record<string, string>;
  cpus?: number;
  memory?: string;
  taints?: { key: string; value?: string; effect: string }[];
}

/**
 * A small kubelet for tests: registers a node, keeps its lease, and runs the pods that are bound to it as processes of this
 * machine. Its node can be cut off from the API server, lose its power, and boot again.
 */
export class Kubelet {
  readonly name: string;
  readonly runners = new Map<string, PodRunner>();
  readonly #plane: ControlPlane;
  readonly #options: NodeOptions;
  readonly #allocatable: Record<string, string>;
  readonly #names: PodNames;
  readonly #dir: string;
  readonly #logs: LogServer;
  #api: ApiClient;
  #resources: Resources;
  #boot = new AbortController();
  #bootId = randomUUID();
  #cut = false;
  #watch = new AbortController();
  #rejections: Rejection[] = [];
  #work: Promise<unknown> = Promise.resolve();

  /** Boots a node, and resolves when it is there and ready. */
  static async start(plane: ControlPlane, names: PodNames, options: NodeOptions): Promise<Kubelet> {
    const kubelet = new Kubelet(plane, names, options);
    await kubelet.#logs.start();
    await kubelet.boot();
    return kubelet;
  }

  private constructor(plane: ControlPlane, names: PodNames, options: NodeOptions) {
    this.#plane = plane;
    this.#names = names;
    this.#options = options;
    this.name = options.name;
    this.#dir = mkdtempSync(join(plane.dir, `node-`));
    this.#allocatable = {
      cpu: String(options.cpus ?? 32),
      memory: options.memory ?? "64Gi",
      pods: "250",
      "ephemeral-storage": "100Gi",
      ...options.devices,
    };
    this.#resources = new Resources(this.#allocatable);
    this.#logs = new LogServer(plane.tls, (namespace, name) => (this.#cut ? undefined : this.runner(namespace, name)));
    this.#api = this.#client();
  }

  get bootId(): string {
    return this.#bootId;
  }

  /** The runner of a pod by its name, which is where a test breaks it. */
  runner(namespace: string, name: string): PodRunner | undefined {
    return [...this.runners.values()].find(({ pod }) => pod.metadata.namespace === namespace && pod.metadata.name === name);
  }

  /** The next pod that comes is refused so, as by a device plugin that has lost a device. */
  rejectNext(rejection: Rejection): void {
    this.#rejections.push(rejection);
  }

  /** From now on the API server hears nothing of this node, and the node nothing of it. Pods go on. */
  cut(): void {
    this.#cut = true;
    this.#watch.abort();
    this.#api.close();
  }

  mend(): void {
    this.#cut = false;
  }

  /** The power is gone: everything here is dead, and nobody is told. */
  async die(): Promise<void> {
    this.#boot.abort();
    this.#watch.abort();
    await Promise.all([...this.runners.values()].map((runner) => runner.vanish()));
    await this.#work;
    for (const runner of this.runners.values()) this.#names.remove(runner);
    this.runners.clear();
  }

  /** Boots it, with a new boot id where it ran before. */
  async boot(): Promise<void> {
    this.#boot = new AbortController();
    this.#bootId = randomUUID();
    this.#resources = new Resources(this.#allocatable);
    const { signal } = this.#boot;
    await this.#register();
    this.#work = Promise.all([this.#keepLease(signal), this.#keepPods(signal)]);
  }

  async close(): Promise<void> {
    await this.die();
    await this.#logs.close();
    this.#api.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #client(): ApiClient {
    return new ApiClient(() => {
      if (this.#cut) throw new Error("this node is cut off");
      return this.#plane.connection();
    });
  }

  async #register(): Promise<void> {
    const path = `/api/v1/nodes/${this.name}`;
    const { labels, taints } = this.#options;
    const all = { "kubernetes.io/hostname": this.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", ...labels };
    if (!(await this.#api.find(path))) await this.#api.create("/api/v1/nodes", { metadata: { name: this.name, labels: all }, spec: { taints } });
    await this.#api.patch(`${path}/status`, { status: this.#nodeStatus() }, "strategic");
    // the taint of a node that isn't ready goes when the controllers see that it is
    await until(async () => !(await this.#api.get(path)).spec.taints?.some(({ key }: { key: string }) => key === "node.kubernetes.io/not-ready"));
  }

  #nodeStatus(): Thing {
    const at = new Date().toISOString();
    const condition = (type: string, status: string): Thing => ({ type, status, reason: "Test", message: "", lastHeartbeatTime: at, lastTransitionTime: at });
    return {
      capacity: this.#allocatable,
      allocatable: this.#allocatable,
      conditions: [condition("Ready", "True"), condition("MemoryPressure", "False"), condition("DiskPressure", "False"), condition("PIDPressure", "False")],
      addresses: [
        { type: "InternalIP", address: "127.0.0.1" },
        { type: "Hostname", address: this.name },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: this.#logs.port } },
      nodeInfo: {
        bootID: this.#bootId,
        machineID: this.name,
        systemUUID: this.name,
        kernelVersion: "test",
        osImage: "test",
        containerRuntimeVersion: "test://1",
        kubeletVersion: "v1.37.2",
        kubeProxyVersion: "v1.37.2",
        operatingSystem: "linux",
        architecture: "amd64",
      },
    };
  }

  async #keepLease(signal: AbortSignal): Promise<void> {
    const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases`;
    while (!signal.aborted) {
      const spec = { holderIdentity: this.name, leaseDurationSeconds: 40, renewTime: new Date().toISOString().replace("Z", "000Z") };
      try {
        await this.#api.patch(`${path}/${this.name}`, { spec }).catch(() => this.#api.create(path, { metadata: { name: this.name }, spec }));
        // whoever was declared unreachable says that it is ready again
        const node = await this.#api.find(`/api/v1/nodes/${this.name}`);
        const ready = node?.status.conditions?.find(({ type }: { type: string }) => type === "Ready");
        if (node && ready?.status === "Unknown") await this.#api.patch(`/api/v1/nodes/${this.name}/status`, { status: this.#nodeStatus() }, "strategic");
      } catch {
        // the next beat says it
      }
      await delay(HEARTBEAT, undefined, { signal }).catch(() => {});
    }
  }

  /** Lists and watches the pods of this node; after whatever breaks the watch, all over again. */
  async #keepPods(signal: AbortSignal): Promise<void> {
    const path = `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${this.name}`)}`;
    const earlier = new Set<string>();
    for (let first = true; !signal.aborted; ) {
      try {
        const { items, metadata } = await this.#api.get(path);
        if (first) for (const pod of items) if (pod.status.startTime !== undefined) earlier.add(pod.metadata.uid);
        first = false;
        const here = new Set(items.map((pod: Thing) => pod.metadata.uid));
        for (const [uid, runner] of this.runners) if (!here.has(uid)) await this.#drop(uid, runner);
        for (const pod of items) this.#put(pod, earlier);
        this.#watch = new AbortController();
        for await (const { type, object } of this.#api.watch(`${path}&resourceVersion=${metadata.resourceVersion}`, this.#watch.signal)) {
          if (signal.aborted || type === "ERROR") break;
          const runner = this.runners.get(object.metadata.uid);
          if (type === "DELETED" && runner) await this.#drop(object.metadata.uid, runner);
          else if (type === "ADDED" || type === "MODIFIED") this.#put(object, earlier);
        }
      } catch {
        // listed again below
      }
      await delay(RETRY, undefined, { signal }).catch(() => {});
    }
  }

  #put(pod: Thing, earlier: ReadonlySet<string>): void {
    const known = this.runners.get(pod.metadata.uid);
    if (known) return known.update(pod);
    if (pod.status.phase === "Succeeded" || pod.status.phase === "Failed") {
      // ended in an earlier boot: what is left is to let it go
      if (!pod.metadata.deletionTimestamp || pod.metadata.deletionGracePeriodSeconds === 0) return;
    }
    const host = {
      api: this.#api,
      node: this.name,
      dir: this.#dir,
      resources: this.#resources,
      hosts: this.#names.path,
      rejection: () => this.#rejections.shift(),
    };
    const runner = new PodRunner(host, pod, this.#names.address());
    this.runners.set(runner.uid, runner);
    if (earlier.has(runner.uid)) return runner.lost();
    this.#names.add(runner);
    void runner.run();
  }

  /** Deleted by force, or after its end: nothing of it may go on. */
  async #drop(uid: string, runner: PodRunner): Promise<void> {
    this.runners.delete(uid);
    this.#names.remove(runner);
    await runner.vanish();
    this.#resources.release(uid);
  }
}

async function until(look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await look()); await delay(50)) if (Date.now() > end) throw new Error("the node isn't ready");
}
