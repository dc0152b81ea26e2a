import { CONTROL, STOP } from "./names.ts";
import type { Worker } from "./worker.ts";
import type { PodWriter } from "./writer.ts";

/*
 * How workers are asked to checkpoint and brought to an end. Graceful: the control file and the checkpoint signal first; after
 * the commit, or half of the grace, the pod is deleted with what is left of it: its kubelet sends SIGTERM, and SIGKILL at the
 * end. A deletion outlives us; what comes before it stands in the pod's annotations.
 */

export class Stopper {
  private readonly writer: Pick<PodWriter, "annotate" | "remove">;
  private readonly trouble: (error: unknown) => void;
  private readonly committed = new WeakMap<Worker, number>();
  private readonly controls = new WeakMap<Worker, number>();

  constructor(writer: Pick<PodWriter, "annotate" | "remove">, trouble: (error: unknown) => void) {
    this.writer = writer;
    this.trouble = trouble;
  }

  /** A later stop may shorten the grace or become a kill, never the other way. */
  async stop(worker: Worker, mode: "graceful" | "kill", grace: number): Promise<void> {
    if (!worker.alive) return;
    const now = Date.now();
    const before = worker.stop;
    if (before?.mode === "kill") return;
    if (before && mode === "graceful") {
      const shorter = (now - before.at) / 1000 + grace;
      if (shorter >= before.grace) return;
      worker.stop = { ...before, grace: shorter };
    } else
      worker.stop = {
        mode,
        at: before?.at ?? now,
        grace: mode === "kill" ? 0 : grace,
        ...(before?.asked && { asked: true }),
        ...(before?.removedWith !== undefined && { removedWith: before.removedWith }),
      };
    this.committed.set(worker, worker.commits);
    // one that was just made is stopped as soon as its pod is seen
    if (!worker.pod) return;
    if (mode === "graceful" && worker.deaf(now))
      await this.writer.annotate(worker.pod, { [STOP]: JSON.stringify({ at: worker.stop.at, grace: worker.stop.grace }) });
    else if (this.waits(worker) && !before) await this.ask(worker);
    else await this.remove(worker, now);
  }

  async askCheckpoint(worker: Worker): Promise<void> {
    await this.ask(worker);
  }

  /** A commit of it is known to be safe: nothing more to wait for. */
  sawCommit(worker: Worker): void {
    if (worker.stop) this.committed.set(worker, -1);
  }

  tick(worker: Worker, now: number): void {
    const { stop, pod } = worker;
    if (!stop || !pod || worker.end) return;
    if (stop.mode === "graceful" && worker.deaf(now)) return;
    if (stop.removedWith !== undefined) return;
    if (this.waits(worker)) {
      if (!stop.asked) return void this.ask(worker).catch(this.trouble);
      const committed = worker.commits > (this.committed.get(worker) ?? worker.commits) || this.committed.get(worker) === -1;
      if (!committed && now < stop.at + stop.grace * 500) return;
    }
    void this.remove(worker, now).catch(this.trouble);
  }

  /** Whether it is to write a checkpoint before it is told to end. */
  private waits({ stop, pod, checkpoints }: Worker): boolean {
    return stop?.mode === "graceful" && checkpoints && pod?.state.kind === "running" && stop.grace >= 2;
  }

  private left(worker: Worker, now: number): number {
    const { stop, pod } = worker;
    // what never had a node has nobody to wait for
    if (!pod?.bound) return 0;
    if (!stop || stop.mode === "kill") return 1;
    return Math.max(1, Math.ceil((stop.at + stop.grace * 1000 - now) / 1000));
  }

  private async ask(worker: Worker): Promise<void> {
    const { pod, stop } = worker;
    if (!pod) return;
    if (stop) stop.asked = true;
    const number = Math.max(this.controls.get(worker) ?? 0, pod.control) + 1;
    this.controls.set(worker, number);
    try {
      await this.writer.annotate(pod, {
        [CONTROL]: stop ? `${number} stop` : String(number),
        ...(stop && { [STOP]: JSON.stringify({ at: stop.at, grace: stop.grace, asked: true }) }),
      });
    } catch (error) {
      if (stop) stop.asked = false;
      throw error;
    }
  }

  private async remove(worker: Worker, now: number): Promise<void> {
    const { stop, pod } = worker;
    if (!stop || !pod) return;
    const grace = this.left(worker, now);
    if (stop.removedWith !== undefined && stop.removedWith <= grace) return;
    const before = stop.removedWith;
    stop.removedWith = grace;
    try {
      await this.writer.remove(pod, grace);
    } catch (error) {
      if (before === undefined) delete stop.removedWith;
      else stop.removedWith = before;
      throw error;
    }
  }
}
