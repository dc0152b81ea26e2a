import type { KubernetesConfig } from "@muster/model";
import type { Logger } from "pino";
import type { KubeObject } from "./api.ts";
import type { Fences } from "./fences.ts";
import type { Follower } from "./follower.ts";
import type { Gangs } from "./gangs.ts";
import { isOfEarlierBoot, judge } from "./judge.ts";
import type { Nodes } from "./nodes.ts";
import { timeOf, type PodView } from "./pod-state.ts";
import type { Roster } from "./roster.ts";
import type { SharedObjects } from "./shared-objects.ts";
import { Worker, type WorkerHost } from "./worker.ts";
import type { PodWriter } from "./writer.ts";

/* What pods, events and nodes tell of the workers, and what follows from it. */

export interface WatcherParts {
  shard: string;
  config: KubernetesConfig;
  logger: Logger;
  fences: Fences;
  nodes: Nodes;
  roster: Roster;
  writer: PodWriter;
  gangs: Gangs;
  follower: Follower;
  shared: SharedObjects;
  host: WorkerHost;
  /** Whether anybody decides on this shard now. */
  active: () => boolean;
  /** Milliseconds since anything was heard of the pods. */
  age: () => number;
  trouble: (error: unknown) => void;
}

/** Beyond this age of what is known, nothing is concluded from it. */
export const STALE_MS = 120_000;
const EVENT_AGE_MS = 10_000;

export class Watcher {
  private readonly parts: WatcherParts;
  private readonly bornAt = Date.now();

  constructor(parts: WatcherParts) {
    this.parts = parts;
  }

  sawPod(view: PodView): void {
    const { fences, roster, writer, host, nodes, follower, gangs, active, trouble } = this.parts;
    let worker = roster.get(view.key);
    if (!worker && fences.isOver(view.key) && view.state.kind !== "running") {
      // recorded, but not let go of by whoever recorded it
      if (active()) void writer.letGo(view).catch(trouble);
      return;
    }
    fences.raise(view.key, false);
    worker ??= roster.add(new Worker(host, view.key, view.node, view.name));
    worker.see(view);
    if (view.state.kind === "running") worker.ranIn ??= nodes.bootOf(view.node) ?? view.boot;
    if (!worker.alive) this.ended(worker);
    if (worker.end && worker.alive) follower.follow(worker);
    if (view.gated) gangs.consider(view.key);
    this.judge(worker, Date.now());
  }

  /** A pod that is gone: before its end was told, where it was removed by force, its finalizer too. */
  sawGone(last: PodView): void {
    void this.leaves(last.name).catch((error: unknown) => this.parts.trouble(error));
    const worker = this.parts.roster.get(last.key);
    if (!worker || worker.pod?.uid !== last.uid || !worker.alive || worker.end) return;
    if (!last.bound) return worker.lose("never started: its pod was removed");
    worker.missingSince = Date.now();
  }

  sawNodes(): void {
    const now = Date.now();
    for (const worker of this.parts.roster) if (worker.alive && worker.pod?.bound) this.judge(worker, now);
  }

  sawEvent(object: KubeObject): undefined {
    const { involvedObject, reason, message } = object as unknown as { involvedObject?: { name?: string }; reason?: string; message?: string };
    const worker = this.parts.roster.ofPod(involvedObject?.name ?? "");
    const at = timeOf(object["lastTimestamp"] ?? object["eventTime"] ?? object.metadata["creationTimestamp"]);
    // what an earlier engine has told is not told again
    if (worker && reason !== undefined && at >= this.bornAt - EVENT_AGE_MS) worker.say(reason, `${reason}: ${message ?? ""}`);
  }

  tick(worker: Worker, now: number): void {
    worker.tick(now);
    if (worker.state === "starting" || worker.missingSince !== undefined) this.judge(worker, now);
  }

  giveUp(worker: Worker, reason: string): void {
    const { logger, shard, writer, trouble } = this.parts;
    worker.givenUp = reason;
    logger.info({ shard, pod: worker.podName, reason }, "a worker is given up");
    void writer.remove(worker.pod as PodView, worker.pod?.bound ? 1 : 0).catch((error: unknown) => {
      worker.givenUp = undefined;
      trouble(error);
    });
  }

  /** Its end is recorded: its pod may go, and nothing of it is known any more. */
  async drop(worker: Worker): Promise<void> {
    if (worker.pod) await this.parts.writer.letGo(worker.pod);
    this.release(worker);
    await this.leaves(worker.podName);
  }

  release(worker: Worker): void {
    this.parts.roster.remove(worker);
    this.parts.follower.drop(worker);
  }

  private async leaves(pod: string): Promise<void> {
    const { shared, writer, active } = this.parts;
    const secret = shared.left(pod);
    if (secret !== undefined && active()) await writer.dropTokens(secret);
  }

  private judge(worker: Worker, now: number): void {
    const { active, age, nodes, config } = this.parts;
    if (!active() || age() > STALE_MS) return;
    const node = nodes.get(worker.node);
    if (worker.pod?.bound && !worker.end && isOfEarlierBoot(worker, node)) worker.missingSince ??= now;
    const verdict = judge(worker, node, config, now);
    if (verdict?.kind === "over") {
      worker.lose(verdict.reason);
      this.ended(worker);
    } else if (verdict) this.giveUp(worker, verdict.reason);
  }

  private ended(worker: Worker): void {
    const { follower, roster, gangs } = this.parts;
    follower.drop(worker);
    // what waited for its end may go ahead
    for (const other of roster.ofJob(worker.key.job)) if (other.pod?.gated) gangs.consider(other.key);
  }
}
