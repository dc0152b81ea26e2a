import { chmodSync, existsSync, mkdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, type ApiClient, type Thing } from "../control-plane/api-client.ts";
import { Container, type ContainerEnd, type Mount } from "./container.ts";
import { environmentOf, expand } from "./environment.ts";
import type { Rejection, Resources } from "./resources.ts";
import { groupOf, makeVolumes, renewVolumes } from "./volumes.ts";

/** Whom an image runs as that says nothing of its user. */
const IMAGE_USER = 65_532;
const RETRY = 300;

/** What a pod needs of its kubelet. */
export interface Host {
  api: ApiClient;
  node: string;
  dir: string;
  resources: Resources;
  /** The next pod's admission is refused with this. */
  rejection: () => Rejection | undefined;
  /** A file with the names of all pods, in place of a cluster's DNS. */
  hosts: string;
}

/** One pod of a node: admitted, its containers run, and what becomes of them reported until the API server has it. */
export class PodRunner {
  readonly uid: string;
  readonly containers = new Map<string, Container>();
  #pod: Thing;
  readonly #host: Host;
  readonly #ip: string;
  readonly #dir: string;
  readonly #states = new Map<string, Thing>();
  #status: Thing = { phase: "Pending" };
  #unreported = false;
  #reporting = Promise.resolve();
  #gone = false;
  #stopping = false;
  #kill: NodeJS.Timeout | undefined;
  #cause: { reason: string; message?: string } | undefined;

  constructor(host: Host, pod: Thing, ip: string) {
    this.#host = host;
    this.#pod = pod;
    this.uid = pod.metadata.uid;
    this.#ip = pod.status.podIP ?? (pod.spec.hostNetwork ? "127.0.0.1" : ip);
    this.#dir = join(host.dir, this.uid);
  }

  get pod(): Thing {
    return this.#pod;
  }

  get ip(): string {
    return this.#ip;
  }

  get ended(): boolean {
    return this.#status.phase === "Succeeded" || this.#status.phase === "Failed";
  }

  /** A pod that an earlier boot of the node ran: nothing of it is left. */
  lost(): void {
    const state = {
      terminated: { exitCode: 137, reason: "ContainerStatusUnknown", message: "The container could not be located when the pod was terminated" },
    };
    for (const { name } of this.#pod.spec.containers) this.#states.set(name, state);
    this.#report({ phase: "Failed" });
    this.update(this.#pod);
  }

  async run(): Promise<void> {
    try {
      const taken = this.#host.rejection() ?? this.#host.resources.take(this.#pod);
      if (!("devices" in taken)) return this.#report({ phase: "Failed", ...taken });
      this.#report({ phase: "Pending", startTime: new Date().toISOString() });
      const { initContainers = [], containers } = this.#pod.spec;
      for (const spec of initContainers) {
        if ((await this.#runContainer(spec, taken.devices)) !== 0) return this.#end("Failed");
      }
      const codes = await Promise.all(containers.map((spec: Thing) => this.#runContainer(spec, taken.devices)));
      this.#end(codes.every((code) => code === 0) ? "Succeeded" : "Failed");
    } finally {
      clearTimeout(this.#kill);
      this.#host.resources.release(this.uid);
      if (!this.#gone) this.update(this.#pod);
    }
  }

  /** The pod as the API server has it now. */
  update(pod: Thing): void {
    this.#pod = pod;
    const { deletionTimestamp, deletionGracePeriodSeconds: grace } = pod.metadata;
    if (deletionTimestamp === undefined) {
      void renewVolumes(this.#host.api, pod, join(this.#dir, "volumes")).catch(() => {});
    } else if (this.ended) {
      if (grace !== 0) void this.#remove();
    } else {
      this.#stop(grace);
    }
  }

  /** Ends its containers as the kernel does that is out of memory. */
  oomKill(): void {
    this.#cause = { reason: "OOMKilled" };
    this.#signal("SIGKILL");
  }

  /** Ends it as a kubelet does whose node is short of something. */
  evict(message: string): void {
    this.#status = { ...this.#status, reason: "Evicted", message };
    this.#signal("SIGKILL");
    this.#stopping = true;
  }

  /** Nothing of it runs any more, and nothing is reported: the node has lost its power, or the pod was deleted by force. */
  async vanish(): Promise<void> {
    this.#gone = true;
    this.#stopping = true;
    this.#signal("SIGKILL");
    await Promise.all([...this.containers.values()].map(({ ended }) => ended));
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Runs a container to its end, again where the pod's policy says so. */
  async #runContainer(spec: Thing, devices: Record<string, number[]>): Promise<number> {
    for (let restarts = 0; ; restarts++) {
      const container = await this.#startContainer(spec, devices);
      if (!container) return 137;
      this.#running(spec.name, container, restarts);
      const end = await container.ended;
      this.#states.set(spec.name, { restartCount: restarts, ready: false, terminated: this.#terminated(container, end) });
      const policy = this.#pod.spec.restartPolicy;
      if (this.#stopping || policy === "Never" || (policy === "OnFailure" && end.exitCode === 0)) return end.exitCode;
      this.#report({});
      await delay(RETRY);
    }
  }

  /** Tries until it runs, saying why it doesn't; undefined where the pod is to end before. */
  async #startContainer(spec: Thing, devices: Record<string, number[]>): Promise<Container | undefined> {
    for (; !this.#stopping; await delay(RETRY)) {
      if (spec.image.startsWith("missing/")) {
        this.#waiting(spec.name, "ImagePullBackOff", `Back-off pulling image "${spec.image}": manifest unknown`);
        continue;
      }
      try {
        const folders = await makeVolumes(this.#host.api, this.#pod, join(this.#dir, "volumes"));
        const env = await environmentOf(this.#host.api, this.#podWithAddress(), spec, devices);
        // a stop that came meanwhile found nothing to end
        if (this.#stopping) return undefined;
        const container = this.#container(spec, folders, env);
        this.containers.set(spec.name, container);
        return container;
      } catch (error) {
        if (this.#gone) return undefined;
        this.#waiting(spec.name, "CreateContainerConfigError", (error as Error).message);
      }
    }
    return undefined;
  }

  #container(spec: Thing, folders: ReadonlyMap<string, string>, env: Record<string, string>): Container {
    const security = { ...this.#pod.spec.securityContext, ...spec.securityContext };
    const uid = security.runAsUser ?? IMAGE_USER;
    if (security.runAsNonRoot && uid === 0) throw new Error("container's runAsUser breaks non-root policy");
    if (!spec.command) throw new Error("this kubelet has no images: a command is needed");
    const mounts = (spec.volumeMounts ?? []).map(({ name, mountPath, readOnly, subPath }: Thing): Mount => {
      const folder = folders.get(name);
      if (folder === undefined) throw new Error(`no volume ${name}`);
      if (subPath) makeBelow(folder, subPath);
      return { from: realpathSync(join(folder, subPath ?? "")), at: mountPath, readOnly: readOnly === true };
    });
    const dir = join(this.#dir, `${spec.name}-${this.containers.size}-${Date.now()}`);
    mkdirSync(dir, { recursive: true });
    chmodSync(this.#host.dir, 0o755);
    return new Container({
      dir,
      hostname: this.#pod.spec.hostname ?? this.#pod.metadata.name,
      user: { uid, gid: security.runAsGroup ?? (uid === 0 ? 0 : uid), group: groupOf(this.#pod) },
      workdir: spec.workingDir ?? "/",
      mounts: [{ from: this.#host.hosts, at: "/etc/hosts", readOnly: true }, ...mounts],
      env,
      words: [...spec.command, ...(spec.args ?? [])].map((word: string) => expand(word, env)),
      terminationMessagePath: spec.terminationMessagePath ?? "/dev/termination-log",
    });
  }

  #podWithAddress(): Thing {
    return { ...this.#pod, status: { ...this.#pod.status, podIP: this.#ip, hostIP: "127.0.0.1" } };
  }

  #running(name: string, container: Container, restartCount: number): void {
    this.#states.set(name, { restartCount, ready: true, running: { startedAt: container.startedAt } });
    const all = this.#pod.spec.containers.every((spec: Thing) => this.#states.get(spec.name)?.running);
    this.#report(all ? { phase: "Running" } : {});
    this.#event("Normal", "Started", `Started container ${name}`);
  }

  #terminated(container: Container, { exitCode, message }: ContainerEnd): Thing {
    return {
      exitCode,
      reason: this.#cause?.reason ?? (exitCode === 0 ? "Completed" : "Error"),
      ...(message !== "" && { message }),
      startedAt: container.startedAt,
      finishedAt: new Date().toISOString(),
    };
  }

  #waiting(name: string, reason: string, message: string): void {
    if (this.#states.get(name)?.waiting?.message === message) return;
    this.#states.set(name, { restartCount: 0, ready: false, waiting: { reason, message } });
    this.#report({});
    this.#event("Warning", "Failed", message);
  }

  #stop(graceSeconds: number): void {
    if (!this.#stopping) this.#signal("SIGTERM");
    this.#stopping = true;
    clearTimeout(this.#kill);
    this.#kill = setTimeout(() => this.#signal("SIGKILL"), graceSeconds * 1000);
  }

  #signal(signal: NodeJS.Signals): void {
    for (const container of this.containers.values()) container.signal(signal);
  }

  #end(phase: "Succeeded" | "Failed"): void {
    this.#report({ phase });
  }

  /** The last word of a kubelet on a deleted pod: it has ended here, and may be forgotten. */
  async #remove(): Promise<void> {
    await this.#reporting;
    const { namespace, name } = this.#pod.metadata;
    while (!this.#gone) {
      try {
        await this.#host.api.remove(`/api/v1/namespaces/${namespace}/pods/${name}`, { gracePeriodSeconds: 0, preconditions: { uid: this.uid } });
        return;
      } catch (error) {
        if (error instanceof ApiError && error.status === 409) return;
        await delay(RETRY);
      }
    }
  }

  #report(change: Thing): void {
    this.#status = { ...this.#status, ...change };
    if (this.#unreported) return;
    this.#unreported = true;
    this.#reporting = this.#reporting.then(() => this.#write());
  }

  /** Until the API server has it, or the pod is no longer there. */
  async #write(): Promise<void> {
    const { namespace, name } = this.#pod.metadata;
    while (!this.#gone) {
      this.#unreported = false;
      try {
        const body = { metadata: { uid: this.uid }, status: this.#statusNow() };
        await this.#host.api.patch(`/api/v1/namespaces/${namespace}/pods/${name}/status`, body, "strategic");
        return;
      } catch (error) {
        if (error instanceof ApiError && (error.status === 404 || (error.status === 409 && error.message.includes("UID")))) return;
        if (error instanceof ApiError && error.status === 422) throw error;
        await delay(RETRY);
      }
    }
  }

  #statusNow(): Thing {
    const statuses = (specs: Thing[] = []): Thing[] => specs.map((spec) => this.#containerStatus(spec));
    const { containers, initContainers } = this.#pod.spec;
    const ready = !this.ended && containers.every((spec: Thing) => this.#states.get(spec.name)?.ready);
    const condition = (type: string, status: boolean): Thing => ({ type, status: status ? "True" : "False", lastTransitionTime: new Date().toISOString() });
    return {
      ...this.#status,
      hostIP: "127.0.0.1",
      podIP: this.#ip,
      podIPs: [{ ip: this.#ip }],
      conditions: [condition("Initialized", true), condition("ContainersReady", ready), condition("Ready", ready)],
      containerStatuses: statuses(containers),
      ...(initContainers && { initContainerStatuses: statuses(initContainers) }),
    };
  }

  #containerStatus({ name, image }: Thing): Thing {
    const { restartCount = 0, ready = false, ...state } = this.#states.get(name) ?? { waiting: { reason: "ContainerCreating" } };
    const containerID = `test://${this.uid}/${name}`;
    return {
      name,
      image,
      imageID: image,
      restartCount,
      ready,
      started: ready,
      state: { running: null, waiting: null, terminated: null, ...state },
      containerID,
    };
  }

  #event(type: "Normal" | "Warning", reason: string, message: string): void {
    const { namespace, name } = this.#pod.metadata;
    const at = new Date().toISOString();
    const event = {
      metadata: { generateName: `${name.slice(0, 40)}.` },
      involvedObject: { apiVersion: "v1", kind: "Pod", namespace, name, uid: this.uid },
      type,
      reason,
      message,
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
      source: { component: "kubelet", host: this.#host.node },
    };
    // a kubelet doesn't try again either
    void this.#host.api.create(`/api/v1/namespaces/${namespace}/events`, event).catch(() => {});
  }
}

/** Folders of a sub-path that aren't there are made with the volume's mode, as a kubelet does. */
function makeBelow(volume: string, path: string): void {
  const { mode } = statSync(volume);
  let at = volume;
  for (const name of path.split("/")) {
    at = join(at, name);
    if (existsSync(at)) continue;
    mkdirSync(at);
    chmodSync(at, mode & 0o7777);
  }
}
