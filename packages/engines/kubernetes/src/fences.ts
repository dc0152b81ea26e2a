import { compareFence, type AttemptKey, type WorkerKey } from "@muster/engine";
import { KubeError, type KubeApi, type KubeObject } from "./api.ts";
import * as names from "./names.ts";

/*
 * What must outlive both the pods and the supervisor: of each job the newest attempt that is over and recorded, and workers that
 * were stopped before their start came. Kept in ConfigMaps beside the pods, so that a database restored from a backup is
 * noticed. Written in batches: one write for all that was forgotten together.
 */

interface Fence {
  incarnation: string;
  attempt: number;
  /** Nothing of it starts any more. */
  closed: boolean;
}

/** Of the API server's 1 MiB an object. */
const FULL = 500_000;
const MAPS = 16;

export class Fences {
  incarnation = "0";
  owner: Record<string, unknown> | undefined;
  private readonly api: Pick<KubeApi, "ask">;
  private readonly path: string;
  private readonly shard: string;
  private readonly fences = new Map<string, Fence>();
  private readonly never = new Set<string>();
  private maps: { name: string; bytes: number }[] = [];
  private pending: Record<string, string> = {};
  private writing: Promise<void> | undefined;

  constructor(api: Pick<KubeApi, "ask">, namespace: string, shard: string) {
    this.api = api;
    this.path = `/api/v1/namespaces/${namespace}/configmaps`;
    this.shard = shard;
  }

  async load(): Promise<void> {
    const { items } = await this.api.ask<{ items: (KubeObject & { data?: Record<string, string> })[] }>({
      method: "GET",
      path: this.path,
      query: { labelSelector: `${names.KIND}=fences,${names.SHARD}=${this.shard}` },
    });
    this.maps = items
      .map((one) => ({ name: one.metadata.name as string, bytes: JSON.stringify(one.data ?? {}).length }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const { data = {} } of items) {
      for (const [name, value] of Object.entries(data)) {
        if (name.startsWith("never.")) this.never.add(value);
        else {
          const [incarnation = "0", attempt] = value.split(" ");
          this.raise({ job: name, incarnation, attempt: Number(attempt) }, true);
        }
      }
    }
  }

  get(job: string): Fence | undefined {
    return this.fences.get(job);
  }

  isNever(key: WorkerKey): boolean {
    return this.never.has(names.workerName(key));
  }

  /** Whether an attempt has ended and is recorded, or a newer one is known. */
  isOver(key: AttemptKey): boolean {
    const fence = this.fences.get(key.job);
    const order = fence ? compareFence(key, fence) : 1;
    return order < 0 || (order === 0 && (fence?.closed ?? false));
  }

  /** The job has this attempt. @returns whether that is the newest known */
  raise(key: AttemptKey, closed: boolean): void {
    const fence = this.fences.get(key.job);
    const order = fence ? compareFence(key, fence) : 1;
    if (order > 0 || (order === 0 && closed)) this.fences.set(key.job, { incarnation: key.incarnation, attempt: key.attempt, closed });
    if (BigInt(key.incarnation) > BigInt(this.incarnation)) this.incarnation = key.incarnation;
  }

  /** Resolves when it is kept. */
  async close(attempts: readonly AttemptKey[]): Promise<void> {
    for (const key of attempts) {
      this.raise(key, true);
      const fence = this.fences.get(key.job) as Fence;
      this.pending[key.job] = `${fence.incarnation} ${fence.attempt}`;
    }
    await this.write();
  }

  async neverStart(workers: readonly WorkerKey[]): Promise<void> {
    for (const key of workers) {
      const name = names.workerName(key);
      this.never.add(name);
      this.pending[`never.${names.hash(name)}`] = name;
      this.raise(key, false);
    }
    await this.write();
  }

  /** One write at a time; what comes meanwhile goes with the next. */
  private async write(): Promise<void> {
    while (this.writing) await this.writing;
    const data = this.pending;
    if (Object.keys(data).length === 0) return;
    this.pending = {};
    this.writing = this.append(data);
    try {
      await this.writing;
    } catch (error) {
      this.pending = { ...data, ...this.pending };
      throw error;
    } finally {
      this.writing = undefined;
    }
  }

  private async append(data: Record<string, string>): Promise<void> {
    const bytes = JSON.stringify(data).length;
    const last = this.maps.at(-1);
    if (last && last.bytes + bytes < FULL) {
      try {
        await this.api.ask({ method: "PATCH", path: `${this.path}/${last.name}`, contentType: "application/merge-patch+json", body: { data } });
        last.bytes += bytes;
        return;
      } catch (error) {
        if (!(error instanceof KubeError && error.status === 404)) throw error;
        this.maps.pop();
      }
    }
    const number = last ? Number(/\d+$/.exec(last.name)?.[0] ?? 0) + 1 : 1;
    const name = `muster-fences-${this.shard}-${String(number).padStart(6, "0")}`;
    const body = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, labels: { [names.KIND]: "fences", [names.SHARD]: this.shard }, ...(this.owner && { ownerReferences: [this.owner] }) },
      data,
    };
    try {
      await this.api.ask({ method: "POST", path: this.path, body });
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 409)) throw error;
      await this.api.ask({ method: "PATCH", path: `${this.path}/${name}`, contentType: "application/merge-patch+json", body: { data } });
    }
    this.maps.push({ name, bytes });
    for (const old of this.maps.splice(0, Math.max(0, this.maps.length - MAPS)))
      await this.api.ask({ method: "DELETE", path: `${this.path}/${old.name}` }).catch(() => {});
  }
}
