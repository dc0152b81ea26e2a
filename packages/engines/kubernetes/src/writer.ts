import { fileURLToPath } from "node:url";
import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import type { WorkerStart } from "@muster/engine";
import type { KubernetesConfig } from "@muster/model";
import { KubeError, type KubeApi, type KubeObject } from "./api.ts";
import * as names from "./names.ts";
import { pathVariables } from "./paths.ts";
import { SERVICE, workerPod, type PodContext } from "./pod.ts";
import { timeOf, type PodView } from "./pod-state.ts";

/*
 * What writes a gang's objects into the cluster. The engine decides when; how a launcher's objects look is here. Pods of our
 * own are the one writer there is in this package; one that hands a gang to another operator implements the same four steps.
 */

export interface WorkloadWriter {
  /** What several starts share is made first. Throws where nothing of them can be made. */
  prepare(starts: readonly WorkerStart[]): Promise<Prepared>;
  /** Makes a worker's objects so that they don't run before `release`, if it is one of a gang. Again: changes nothing. */
  create(start: WorkerStart, node: NodeOfStart, gang: number | undefined, prepared: Prepared): Promise<KubeObject | undefined>;
  release(pod: PodView): Promise<KubeObject>;
  /** Ends it: SIGTERM now, SIGKILL after so many seconds. */
  remove(pod: Pick<PodView, "name" | "uid">, grace: number): Promise<void>;
  /** Its end is recorded: nothing of it is to be left. */
  letGo(pod: Pick<PodView, "name" | "uid" | "deleting">): Promise<void>;
}

export type NodeOfStart = Pick<PodContext, "node" | "bootId" | "resource" | "runtimeClass" | "tolerations">;

export interface Prepared {
  tokens: string;
  /** By the attempt. */
  keys: ReadonlyMap<string, string>;
  /** By the worker; absent where it has no files. */
  files: ReadonlyMap<string, string>;
}

const MERGE = "application/merge-patch+json";
const SCRIPTS = Object.fromEntries(["shim.sh", "seal.sh"].map((file) => [file, readFileSync(fileURLToPath(new URL(file, import.meta.url)), "utf8")]));

export class PodWriter implements WorkloadWriter {
  readonly scripts = `muster-scripts-${names.hash(JSON.stringify(SCRIPTS))}`;
  owner: Record<string, unknown> | undefined;
  private readonly api: Pick<KubeApi, "ask">;
  private readonly config: KubernetesConfig;
  private readonly shard: string;
  private readonly made = new Set<string>();

  constructor(api: Pick<KubeApi, "ask">, config: KubernetesConfig, shard: string) {
    this.api = api;
    this.config = config;
    this.shard = shard;
  }

  /** What all workers of a shard lean on. Everything is owned by one object: with it, all that Muster made here goes. */
  async install(): Promise<void> {
    const anchor = await this.ensure("configmaps", {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: `muster-shard-${this.shard}`,
        labels: this.labels("shard"),
        annotations: { "muster.dev/note": "Owns all workers of this shard: deleting it ends them." },
      },
    });
    const { name, uid } = anchor.metadata;
    this.owner = { apiVersion: "v1", kind: "ConfigMap", name, uid };
    await this.ensure("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: this.meta(this.scripts, "scripts"), immutable: true, data: SCRIPTS });
    if (this.config.network !== "service") return;
    await this.ensure("services", {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: SERVICE, labels: { "app.kubernetes.io/managed-by": "muster" } },
      // workers look for each other before they are ready; a gang of one looks for nobody
      spec: { clusterIP: "None", publishNotReadyAddresses: true, selector: { [names.KIND]: "worker" } },
    });
  }

  async prepare(starts: readonly WorkerStart[]): Promise<Prepared> {
    const files = new Map<string, string>();
    for (const start of starts) {
      if (start.files.length === 0) continue;
      const variables = pathVariables(this.config, start);
      const fill = (text: string): string => text.replaceAll(/\$\{(MUSTER_[A-Z_]+)\}/g, (whole, name: string) => variables[name] ?? whole);
      const data = Object.fromEntries(start.files.map((file, index) => [`f${index}`, fill(file.content)]));
      // most jobs of a launcher have the same files: one object for all
      const name = `muster-files-${names.hash(JSON.stringify(data))}`;
      if (!this.made.has(name))
        await this.ensure("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: this.meta(name, "files"), immutable: true, data });
      this.made.add(name);
      files.set(names.workerName(start), name);
    }
    const keys = new Map(starts.map((start) => [names.attemptName(start), names.hash(names.attemptName(start))]));
    const stringData = Object.fromEntries(starts.map((start) => [keys.get(names.attemptName(start)) as string, start.token]));
    const tokens = `muster-tokens-${randomBytes(8).toString("hex")}`;
    await this.ensure("secrets", { apiVersion: "v1", kind: "Secret", metadata: this.meta(tokens, "tokens"), immutable: true, stringData });
    return { tokens, keys, files };
  }

  async create(start: WorkerStart, node: NodeOfStart, gang: number | undefined, prepared: Prepared): Promise<KubeObject | undefined> {
    const body = workerPod(start, {
      ...node,
      config: this.config,
      shard: this.shard,
      gang,
      scripts: this.scripts,
      files: prepared.files.get(names.workerName(start)),
      tokens: { secret: prepared.tokens, key: prepared.keys.get(names.attemptName(start)) as string },
      owner: this.owner,
    });
    try {
      return await this.api.ask({ method: "POST", path: this.path("pods"), body });
    } catch (error) {
      if (error instanceof KubeError && error.status === 409) return undefined;
      throw error;
    }
  }

  /** Opens its gate. Who set which of its fields matters to nobody, and keeping that up is much of what each later write to it costs. */
  release(pod: PodView): Promise<KubeObject> {
    return this.api.ask({
      method: "PATCH",
      path: `${this.path("pods")}/${pod.name}`,
      contentType: MERGE,
      body: { metadata: { uid: pod.uid, managedFields: [{}] }, spec: { schedulingGates: null } },
    });
  }

  annotate(pod: Pick<PodView, "name" | "uid">, annotations: Record<string, string>): Promise<KubeObject> {
    return this.api.ask({ method: "PATCH", path: `${this.path("pods")}/${pod.name}`, contentType: MERGE, body: { metadata: { uid: pod.uid, annotations } } });
  }

  async remove({ name, uid }: Pick<PodView, "name" | "uid">, grace: number): Promise<void> {
    await gone(
      this.api.ask({
        method: "DELETE",
        path: `${this.path("pods")}/${name}`,
        body: { gracePeriodSeconds: grace, ...(uid !== "" && { preconditions: { uid } }) },
      }),
    );
  }

  async letGo(pod: Pick<PodView, "name" | "uid" | "deleting">): Promise<void> {
    if (!pod.deleting) await this.remove(pod, 0);
    await gone(
      this.api.ask({ method: "PATCH", path: `${this.path("pods")}/${pod.name}`, contentType: MERGE, body: { metadata: { uid: pod.uid, finalizers: null } } }),
    );
  }

  async dropTokens(secret: string): Promise<void> {
    await gone(this.api.ask({ method: "DELETE", path: `${this.path("secrets")}/${secret}` }));
  }

  /** Files that no pod uses, and that were made a while ago. */
  async sweep(used: ReadonlySet<string>, olderThan: number): Promise<void> {
    const { items } = await this.api.ask<{ items: KubeObject[] }>({
      method: "GET",
      path: this.path("configmaps"),
      query: { labelSelector: `${names.KIND}=files,${names.SHARD}=${this.shard}` },
    });
    for (const { metadata } of items) {
      const name = metadata.name as string;
      if (used.has(name) || timeOf(metadata["creationTimestamp"]) >= olderThan) continue;
      this.made.delete(name);
      await gone(this.api.ask({ method: "DELETE", path: `${this.path("configmaps")}/${name}` }));
    }
  }

  path(resource: string): string {
    return `/api/v1/namespaces/${this.config.namespace}/${resource}`;
  }

  private labels(kind: string): Record<string, string> {
    return { "app.kubernetes.io/managed-by": "muster", [names.KIND]: kind, [names.SHARD]: this.shard };
  }

  private meta(name: string, kind: string): KubeObject["metadata"] {
    return { name, labels: this.labels(kind), ...(this.owner && { ownerReferences: [this.owner] }) };
  }

  private async ensure(resource: string, body: KubeObject): Promise<KubeObject> {
    try {
      return await this.api.ask({ method: "POST", path: this.path(resource), body });
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 409)) throw error;
      // of a secret there is nothing that we would look at
      return resource === "secrets" ? body : this.api.ask({ method: "GET", path: `${this.path(resource)}/${body.metadata.name}` });
    }
  }
}

/** What isn't there any more needs no removing. A changed identity is another object, and none of ours. */
async function gone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof KubeError && (error.status === 404 || error.status === 409))) throw error;
  }
}
