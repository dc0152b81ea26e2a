import { createHash } from "node:crypto";
import { compareFence, type AttemptKey, type WorkerKey, type WorkerStart, type WorkerStatus, type WorkerStop } from "@muster/engine";
import { DELEGATED_LAUNCHERS, expand } from "@muster/model";
import type { News } from "../feed.ts";
import * as names from "../names.ts";
import { KINDS, suspendPatch, type DelegatedKind } from "./kinds.ts";
import { delegatedObject, GANG_OF, type DelegatedGang, type OperatorObject } from "./object.ts";
import { readGangPod, type GangPod } from "./pods.ts";
import { readStatus, type DelegatedStatus } from "./status.ts";

/*
 * Gangs that are handed to an operator whole: one object each, written suspended, resumed once its nodes are still good, and
 * read until it has ended. All workers share its fate. What there is stands in the cluster alone: labels name the attempt, an
 * annotation its workers, and the next engine goes on from there.
 */

/** What is asked of the API server; `KubeApi` is one. Refusals have a `status`. */
export interface Asks {
  ask<T = unknown>(request: {
    method: "GET" | "POST" | "PATCH" | "DELETE";
    path: string;
    query?: Record<string, string>;
    body?: unknown;
    contentType?: string;
  }): Promise<T>;
}

export interface DelegatesOptions {
  api: Asks;
  shard: string;
  namespace: string;
  priorityClass: string;
  tolerations: readonly object[];
  /** Seconds from the release until all run. */
  startTimeout: number;
  note: (news: News) => void;
  /** The cluster's name of a node, how accelerators are asked for there, and what its pods must tolerate. */
  placeOf: (node: string) => { node: string; resource: string | undefined; tolerations: readonly object[] };
  /** Why nothing may be started there now. */
  unfit: (node: string) => string | undefined;
  imageOf: (start: WorkerStart) => string | undefined;
}

interface Gang {
  key: AttemptKey;
  kind: DelegatedKind;
  name: string;
  workers: { worker: string; node: string }[];
  state: "held" | "released" | "running" | "ended";
  since: number;
  stop: { kill: boolean } | undefined;
  /** Why it is ended without ever having run as a whole. */
  givenUp: string | undefined;
  end: { exitCode: number | null; signal: string | null; oom: boolean } | undefined;
}

const WORKERS = "muster.dev/workers";
const MERGE = "application/merge-patch+json";
const PODS_OF_NONE: GangPod[] = [];

export class Delegates {
  private readonly options: DelegatesOptions;
  private readonly gangs = new Map<string, Gang>();
  /** Starts of attempts of which not all workers have come. */
  private readonly gathering = new Map<string, WorkerStart[]>();
  private looking: Promise<void> | undefined;

  constructor(options: DelegatesOptions) {
    this.options = options;
  }

  /** Takes up what an earlier engine handed over. Operators that the cluster doesn't have hold nothing of ours. */
  async load(): Promise<AttemptKey[]> {
    const found = await Promise.all(DELEGATED_LAUNCHERS.map((kind) => this.list(kind)));
    for (const [index, objects] of found.entries()) for (const object of objects) this.adopt(DELEGATED_LAUNCHERS[index] as DelegatedKind, object);
    return [...this.gangs.values()].map((gang) => gang.key);
  }

  has(key: AttemptKey): boolean {
    return this.gangs.has(nameOf(key));
  }

  lives(key: AttemptKey): boolean {
    const gang = this.gangs.get(nameOf(key));
    return gang !== undefined && gang.state !== "ended";
  }

  /** Several calls may bring the workers of one attempt. `count`: how many it has. */
  async start(start: WorkerStart, count: number): Promise<void> {
    const name = nameOf(start);
    if (this.gangs.has(name)) return;
    const starts = [...(this.gathering.get(name) ?? []).filter((one) => one.worker !== start.worker), start];
    this.gathering.set(name, starts);
    if (starts.length < count) return;
    await this.handOver(name, starts);
    this.gathering.delete(name);
  }

  /** All of it ends together, whichever worker is named. @returns whether it was handed over */
  async stop(stop: AttemptKey & Pick<WorkerStop, "mode">): Promise<boolean> {
    const gang = this.gangs.get(nameOf(stop));
    this.gathering.delete(nameOf(stop));
    if (!gang) return false;
    if (gang.state === "ended") return true;
    gang.stop = { kill: stop.mode === "kill" || gang.stop?.kill === true };
    await this.remove(gang, "Foreground");
    if (stop.mode === "kill") await this.hurry(await this.pods(gang));
    return true;
  }

  statuses(): WorkerStatus[] {
    return [...this.gangs.values()].flatMap((gang) =>
      gang.workers.map(({ worker, node }) => ({
        ...gang.key,
        worker,
        node,
        state: gang.state === "ended" ? ("exited" as const) : gang.state === "running" ? ("running" as const) : ("starting" as const),
        exitCode: gang.end?.exitCode ?? null,
        signal: gang.end?.signal ?? null,
        oom: gang.end?.oom ?? false,
        stopping: gang.stop !== undefined,
      })),
    );
  }

  /** Its end is recorded: nothing of it is to be left. */
  async forget(key: AttemptKey): Promise<void> {
    const gang = this.gangs.get(nameOf(key));
    if (!gang || gang.state !== "ended") return;
    await this.remove(gang, "Background");
    this.gangs.delete(gang.name);
  }

  /** Looks at all that have not ended: one list of each kind, and the pods of those of which it matters. */
  async look(): Promise<void> {
    // one at a time: two would tell the same twice
    this.looking ??= this.lookAtAll().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async lookAtAll(): Promise<void> {
    const open = Map.groupBy(
      [...this.gangs.values()].filter((gang) => gang.state !== "ended"),
      (gang) => gang.kind,
    );
    for (const [kind, gangs] of open) {
      const objects = new Map((await this.list(kind)).map((object) => [object.metadata.name, object]));
      for (const gang of gangs) await this.follow(gang, objects.get(gang.name));
    }
  }

  private async handOver(name: string, starts: readonly WorkerStart[]): Promise<void> {
    const ordered = starts.toSorted((one, other) => one.nodeRank - other.nodeRank);
    const [first] = ordered as [WorkerStart];
    const gang = this.gangOf(name, ordered);
    const refuse = (reason: string): void => {
      for (const { job, incarnation, attempt, worker } of ordered)
        this.options.note({ kind: "refused", code: "start_failed", reason, job, incarnation, attempt, worker });
    };
    const object = delegatedObject(gang);
    const workers = ordered.map(({ worker, node }) => ({ worker, node }));
    object.metadata.annotations = { [WORKERS]: JSON.stringify(workers) };
    try {
      await this.options.api.ask({ method: "POST", path: this.path(gang.kind), body: object });
    } catch (error) {
      const status = statusOf(error);
      if (status === undefined) throw error;
      const { apiVersion, kind } = KINDS[gang.kind];
      if (status === 404) return refuse(`the cluster has no ${kind} (${apiVersion}); install its operator, or use another launcher`);
      if (status !== 409) return refuse(`the API server refuses its ${kind}: ${(error as Error).message}`);
    }
    const { job, incarnation, attempt } = first;
    this.gangs.set(name, {
      key: { job, incarnation, attempt },
      kind: gang.kind,
      name,
      workers,
      state: "held",
      since: Date.now(),
      stop: undefined,
      givenUp: undefined,
      end: undefined,
    });
    await this.look();
  }

  private gangOf(name: string, starts: readonly WorkerStart[]): DelegatedGang {
    const { namespace, shard, priorityClass, placeOf, imageOf } = this.options;
    const [first] = starts as [WorkerStart];
    const { kind, runtime } = first.delegated as NonNullable<WorkerStart["delegated"]>;
    const places = starts.map((start) => placeOf(start.node));
    const { resource } = places[0] as (typeof places)[number];
    const devices = first.devices.indices.length;
    return {
      kind,
      name,
      namespace,
      labels: { [names.SHARD]: shard, [names.JOB]: first.job, [names.INCARNATION]: first.incarnation, [names.ATTEMPT]: String(first.attempt) },
      nodes: places.map((place) => place.node),
      image: imageOf(first),
      command: first.argv.map((word) => expand(word, {})),
      env: Object.fromEntries(Object.entries(first.env).map(([variable, value]) => [variable, expand(value, {})])),
      resources: {
        cpu: `${Math.round(first.limits.cpus * 1000)}m`,
        memory: String(first.limits.memory),
        ...(resource !== undefined && devices > 0 && { [resource]: String(devices) }),
      },
      ranksPerNode: first.ranks,
      runtime,
      priorityClass,
      tolerations: [...this.options.tolerations, ...places.flatMap((place) => place.tolerations)],
      grace: 30,
    };
  }

  private async follow(gang: Gang, object: OperatorObject | undefined): Promise<void> {
    const status: DelegatedStatus | undefined = object && readStatus(gang.kind, (object as { status?: unknown }).status);
    if (!status || gang.stop) return this.followEnd(gang, status);
    if (gang.state === "held") return this.release(gang);
    if (status.phase === "succeeded" || status.phase === "failed") return this.followEnd(gang, status);
    if (status.phase === "running" && gang.state === "released") {
      this.started(gang);
    } else if (gang.state === "released" && Date.now() - gang.since > this.options.startTimeout * 1000) {
      await this.giveUp(gang, `not all of it ran within ${this.options.startTimeout} s: ${status.message || "its operator says nothing more"}`);
    }
  }

  private started(gang: Gang): void {
    gang.state = "running";
    this.each(gang, (worker) => ({ kind: "started", handle: `${KINDS[gang.kind].kind}/${gang.name}`, ...worker }));
  }

  private async release(gang: Gang): Promise<void> {
    const older = [...this.gangs.values()].filter((one) => one.key.job === gang.key.job && one.state !== "ended" && compareFence(one.key, gang.key) < 0);
    if (older.length > 0) {
      for (const one of older) if (!one.stop) await this.stop({ ...one.key, mode: "kill" });
      return;
    }
    const bad = gang.workers.map(({ node }) => [node, this.options.unfit(node)] as const).find(([, why]) => why !== undefined);
    if (bad) return this.giveUp(gang, `node ${bad[0]}: ${bad[1]}`);
    await this.options.api.ask({ method: "PATCH", path: `${this.path(gang.kind)}/${gang.name}`, contentType: MERGE, body: suspendPatch(gang.kind, false) });
    gang.state = "released";
    gang.since = Date.now();
  }

  /** An end is one when the operator says so, or its object is gone, and none of its pods lives. */
  private async followEnd(gang: Gang, status: DelegatedStatus | undefined): Promise<void> {
    const pods = await this.pods(gang);
    const over = gang.stop ? status === undefined : true;
    // also those that an operator made anew meanwhile
    if (gang.stop?.kill) await this.hurry(pods);
    if (!over || pods.some((pod) => pod.live)) return;
    const { givenUp } = gang;
    if (givenUp !== undefined) {
      gang.state = "ended";
      return this.each(gang, (worker) => ({ kind: "refused", code: "start_failed", reason: givenUp, ...worker }));
    }
    if (gang.stop || !status) {
      gang.state = "ended";
      const reason = gang.stop ? `stopped (${gang.stop.kill ? "kill" : "graceful"})` : `its ${KINDS[gang.kind].kind} was deleted`;
      gang.end = { exitCode: null, signal: gang.stop?.kill ? "SIGKILL" : "SIGTERM", oom: false };
      this.each(gang, (worker) =>
        gang.stop ? { kind: "exited", ...(gang.end as NonNullable<Gang["end"]>), reason, ...worker } : { kind: "lost", reason, ...worker },
      );
      return;
    }
    // one that was quicker than the looks at it has run all the same
    if (gang.state !== "running") this.started(gang);
    gang.state = "ended";
    const failed = status.phase === "failed";
    const bad = pods.find((pod) => pod.exitCode !== undefined && pod.exitCode !== 0);
    gang.end = { exitCode: failed ? (bad?.exitCode ?? 1) : 0, signal: null, oom: pods.some((pod) => pod.oom) };
    this.each(gang, (worker, node) => {
      const own = pods.find((pod) => pod.node === this.options.placeOf(node).node);
      const exitCode = failed ? (own?.exitCode ?? (bad ? null : 1)) : 0;
      return {
        kind: "exited",
        exitCode,
        signal: exitCode === null ? "SIGTERM" : null,
        oom: own?.oom ?? false,
        ...(status.message !== "" && { reason: status.message }),
        ...worker,
      };
    });
  }

  private async giveUp(gang: Gang, reason: string): Promise<void> {
    gang.stop = { kill: true };
    gang.givenUp = reason;
    await this.remove(gang, "Foreground");
  }

  private async remove(gang: Gang, propagationPolicy: "Foreground" | "Background"): Promise<void> {
    await this.options.api.ask({ method: "DELETE", path: `${this.path(gang.kind)}/${gang.name}`, body: { propagationPolicy } }).catch(ignoreGone);
  }

  /** SIGKILL a second after SIGTERM; the kubelet still confirms the end. */
  private async hurry(pods: readonly GangPod[]): Promise<void> {
    const path = `/api/v1/namespaces/${this.options.namespace}/pods`;
    const live = pods.filter((pod) => pod.live && !pod.hurried);
    await Promise.all(
      live.map((pod) => this.options.api.ask({ method: "DELETE", path: `${path}/${pod.name}`, body: { gracePeriodSeconds: 1 } }).catch(ignoreGone)),
    );
  }

  private async pods(gang: Gang): Promise<GangPod[]> {
    const { api, namespace } = this.options;
    const { items } = await api.ask<{ items: unknown[] }>({
      method: "GET",
      path: `/api/v1/namespaces/${namespace}/pods`,
      query: { labelSelector: `${GANG_OF}=${gang.name}` },
    });
    return items.length === 0 ? PODS_OF_NONE : items.map(readGangPod);
  }

  private async list(kind: DelegatedKind): Promise<OperatorObject[]> {
    try {
      const query = { labelSelector: `${names.SHARD}=${this.options.shard}` };
      return (await this.options.api.ask<{ items: OperatorObject[] }>({ method: "GET", path: this.path(kind), query })).items;
    } catch (error) {
      // no such operator, or no right to its objects: then none of ours is there
      if (statusOf(error) === 404 || statusOf(error) === 403) return [];
      throw error;
    }
  }

  private adopt(kind: DelegatedKind, { metadata, spec }: OperatorObject): void {
    const { labels, annotations = {}, name } = metadata;
    const [job, incarnation, attempt] = [labels[names.JOB], labels[names.INCARNATION], Number(labels[names.ATTEMPT])];
    if (job === undefined || incarnation === undefined || !Number.isSafeInteger(attempt)) return;
    const workers = JSON.parse(annotations[WORKERS] ?? "[]") as Gang["workers"];
    const suspended = KINDS[kind].suspend.reduce<unknown>((at, field) => (at as Record<string, unknown> | undefined)?.[field], spec) === true;
    const deleting = (metadata as { deletionTimestamp?: string }).deletionTimestamp !== undefined;
    this.gangs.set(name, {
      key: { job, incarnation, attempt },
      kind,
      name,
      workers,
      state: suspended ? "held" : "released",
      since: Date.now(),
      stop: deleting ? { kill: false } : undefined,
      givenUp: undefined,
      end: undefined,
    });
  }

  private each(gang: Gang, news: (worker: WorkerKey, node: string) => News): void {
    for (const { worker, node } of gang.workers) this.options.note(news({ ...gang.key, worker }, node));
  }

  private path(kind: DelegatedKind): string {
    const { apiVersion, plural } = KINDS[kind];
    return `/apis/${apiVersion}/namespaces/${this.options.namespace}/${plural}`;
  }
}

/** Short, as operators add to it and the result must still name a pod. */
function nameOf({ job, incarnation, attempt }: AttemptKey): string {
  return `m${createHash("sha256").update(`${job}.${incarnation}-${attempt}`).digest("hex").slice(0, 15)}-${attempt}`;
}

function statusOf(error: unknown): number | undefined {
  const { status } = error as { status?: unknown };
  return typeof status === "number" ? status : undefined;
}

function ignoreGone(error: unknown): void {
  const status = statusOf(error);
  if (status !== 404 && status !== 409) throw error;
}
