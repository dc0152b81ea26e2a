import { setTimeout as delay } from "node:timers/promises";
import { compareFence, type SealCheckpoint } from "@muster/engine";
import type { KubernetesConfig } from "@muster/model";
import { KubeError, type KubeApi } from "./api.ts";
import type { News } from "./feed.ts";
import type { Fences } from "./fences.ts";
import { attemptOf } from "./names.ts";
import { belowAttempt, sealPod, type SealView } from "./seal-pod.ts";
import type { PodWriter } from "./writer.ts";

/* Has checkpoints sealed, each by a pod, and tells what became of it. */

/** How often a pod is asked for whose forerunner is still leaving, and how long between. */
const AGAIN = 20;
const AGAIN_MS = 250;

export class Sealer {
  private readonly api: Pick<KubeApi, "ask">;
  private readonly writer: PodWriter;
  private readonly config: KubernetesConfig;
  private readonly shard: string;
  private readonly fences: Fences;
  private readonly note: (news: News) => void;
  private readonly nodeName: (node: string) => string;
  private readonly open = new Map<string, SealView>();
  /** Whose outcome was told, by the pod's name: they are to go. */
  private readonly told = new Map<string, string>();

  constructor(
    api: Pick<KubeApi, "ask">,
    writer: PodWriter,
    config: KubernetesConfig,
    shard: string,
    fences: Fences,
    note: (news: News) => void,
    nodeName: (node: string) => string,
  ) {
    this.api = api;
    this.writer = writer;
    this.config = config;
    this.shard = shard;
    this.fences = fences;
    this.note = note;
    this.nodeName = nodeName;
  }

  async seal(commits: readonly SealCheckpoint[]): Promise<void> {
    await Promise.all(commits.map((commit) => this.one(commit)));
  }

  /** A pod that seals, or has sealed. */
  saw(view: SealView, sealed: () => void): void {
    if (!view.result) {
      this.open.set(view.name, view);
      return;
    }
    this.open.delete(view.name);
    if (this.told.get(view.name) === view.uid) return;
    this.told.set(view.name, view.uid);
    const { key, step, sealed: name, path, result } = view;
    if (result.ok) {
      this.note({ kind: "sealed", step, name, path, ...key });
      sealed();
    } else this.note({ kind: "seal_failed", step, name, reason: result.reason, ...key });
    void this.writer.remove(view, 0).catch(() => this.told.delete(view.name));
  }

  gone(view: SealView): void {
    this.open.delete(view.name);
    if (this.told.get(view.name) === view.uid) this.told.delete(view.name);
  }

  /** One that can't run is given up. */
  tick(now: number): void {
    for (const view of this.open.values()) {
      if (now - view.createdAt < this.config.start_timeout * 1000) continue;
      this.open.delete(view.name);
      this.told.set(view.name, view.uid);
      this.note({
        kind: "seal_failed",
        step: view.step,
        name: view.sealed,
        reason: `its pod ${view.name} didn't get done in ${this.config.start_timeout} s`,
        ...view.key,
      });
      void this.writer.remove(view, 0).catch(() => {});
    }
  }

  private async one(commit: SealCheckpoint): Promise<void> {
    const fail = (reason: string): void => this.note({ kind: "seal_failed", step: commit.step, name: commit.name, reason, ...attemptOf(commit) });
    const fence = this.fences.get(commit.job);
    if (fence && compareFence(commit, fence) < 0) return fail(`attempt ${commit.attempt} is older than attempt ${fence.attempt} of this job`);
    if (!this.config.checkpoints) return fail(`shard ${this.shard} has no checkpoints volume; without one, checkpoints end with their pod`);
    if (!(this.config.helper_image ?? this.config.image)) return fail(`shard ${this.shard} has no helper_image to seal with`);
    const below = belowAttempt(commit, this.config);
    if (below === undefined) return fail(`${commit.path} is not below the attempt's checkpoint directory`);
    const pod = sealPod(commit, below, {
      config: this.config,
      shard: this.shard,
      scripts: this.writer.scripts,
      node: this.nodeName(commit.node),
      owner: this.writer.owner,
    });
    const name = pod.metadata.name as string;
    for (let again = 0; ; again++) {
      try {
        await this.api.ask({ method: "POST", path: this.writer.path("pods"), body: pod });
        return;
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (error.status !== 409) return fail(`the API server refuses the pod that seals: ${error.message}`);
        // already asked: its pod tells
        if (this.open.has(name) || again === AGAIN) return;
        // one that has told is on its way out, and says nothing more; or it went before this answer came
        const uid = this.told.get(name);
        if (uid !== undefined) await this.writer.remove({ name, uid }, 0);
        await delay(AGAIN_MS);
      }
    }
  }
}
