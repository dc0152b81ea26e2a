import { compareFence, Unreachable, type AttemptKey, type WorkerStart } from "@muster/engine";
import type { KubernetesConfig } from "@muster/model";
import { admission } from "./admission.ts";
import { forbidden } from "./allowed.ts";
import { KubeError, type KubeObject } from "./api.ts";
import type { Delegates } from "./delegated/delegates.ts";
import type { Feed } from "./feed.ts";
import type { Fences } from "./fences.ts";
import type { Gangs } from "./gangs.ts";
import * as names from "./names.ts";
import { answers } from "./node-view.ts";
import type { Nodes } from "./nodes.ts";
import type { Roster } from "./roster.ts";
import type { Stopper } from "./stopper.ts";
import { Worker, type WorkerHost } from "./worker.ts";
import type { PodWriter, Prepared } from "./writer.ts";

/* How starts become pods: what may not start is refused, what is delegated goes to its operator, the rest is made. */

export interface StarterParts {
  shard: string;
  config: KubernetesConfig;
  feed: Feed;
  fences: Fences;
  nodes: Nodes;
  roster: Roster;
  writer: PodWriter;
  stopper: Stopper;
  gangs: Gangs;
  delegates: Delegates;
  host: WorkerHost;
  /** A pod as its creation was answered. */
  made: (pod: KubeObject) => void;
  /** Nothing is known of a worker any more. */
  release: (worker: Worker) => void;
}

export class Starter {
  private readonly parts: StarterParts;

  constructor(parts: StarterParts) {
    this.parts = parts;
  }

  async start(starts: readonly WorkerStart[]): Promise<void> {
    const { delegates, roster, host, writer, stopper, gangs } = this.parts;
    const counts = new Map<string, number>();
    for (const start of starts) counts.set(names.attemptName(start), (counts.get(names.attemptName(start)) ?? 0) + 1);
    const sizeOf = (start: WorkerStart): number => start.gang ?? counts.get(names.attemptName(start)) ?? 1;
    const admitted = starts.filter((start) => this.admit(start));
    for (const start of admitted) if (start.delegated) await delegates.start(start, sizeOf(start));
    const accepted = admitted.filter((start) => !start.delegated);
    if (accepted.length === 0) return;
    for (const start of accepted) roster.add(new Worker(host, names.workerOf(start), start.node, names.podName(start)));
    let prepared: Prepared;
    try {
      prepared = await writer.prepare(accepted);
    } catch (error) {
      return this.notMade(accepted, error);
    }
    const made = await Promise.all(
      accepted.map((start) => {
        const older = this.olderAlive(start);
        for (const one of older) void stopper.stop(one, "kill", 0);
        // one alone needs no gate, unless it has to wait for an older one's end
        return this.create(start, sizeOf(start) > 1 || older.length > 0 ? sizeOf(start) : undefined, prepared);
      }),
    );
    if (!made.some((one) => one === "made")) await writer.dropTokens(prepared.tokens).catch(() => {});
    const unknown = made.find((one): one is Unreachable => one instanceof Unreachable);
    for (const start of accepted) gangs.consider(start);
    if (unknown) throw unknown;
  }

  /** Older workers of its job that can still confirm their end. One whose node doesn't answer can't: that it is gone on without was decided above. */
  olderAlive(key: AttemptKey): Worker[] {
    const { roster, nodes } = this.parts;
    return [...roster.ofJob(key.job)].filter((worker) => {
      if (!worker.alive || compareFence(worker.key, key) >= 0) return false;
      const node = nodes.get(worker.node);
      return !worker.pod?.bound || (node !== undefined && answers(node));
    });
  }

  private admit(start: WorkerStart): boolean {
    const { fences, roster, delegates, nodes, config, shard, feed } = this.parts;
    const verdict = admission(start, {
      fences,
      has: (one) => roster.get(one) !== undefined || delegates.has(one),
      node: (name) => nodes.knows(name),
      forbidden: (one) => forbidden(one, config, shard),
    });
    if (verdict !== "go") {
      for (const news of verdict) feed.note(news);
      return false;
    }
    fences.raise(start, false);
    return true;
  }

  private async create(start: WorkerStart, gang: number | undefined, prepared: Prepared): Promise<"made" | "known" | "refused" | Unreachable> {
    const { writer, nodes, roster, made, release } = this.parts;
    try {
      const object = await writer.create(start, nodes.placeOf(start.node), gang, prepared);
      if (!object) return "known";
      made(object);
      return "made";
    } catch (error) {
      const worker = roster.get(start);
      if (error instanceof KubeError) {
        worker?.refuse(`the API server refuses its pod: ${error.message}`);
        return "refused";
      }
      // whether it is there is for the informer to say; sent again, it is found
      if (worker && !worker.pod) release(worker);
      return error instanceof Unreachable ? error : new Unreachable(String(error), { cause: error });
    }
  }

  private notMade(starts: readonly WorkerStart[], error: unknown): void {
    for (const start of starts) {
      const worker = this.parts.roster.get(start) as Worker;
      if (error instanceof KubeError) worker.refuse(`the API server refuses its files: ${error.message}`);
      else this.parts.release(worker);
    }
    if (!(error instanceof KubeError)) throw error;
  }
}
