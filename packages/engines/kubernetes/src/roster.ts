import type { AttemptKey, WorkerKey } from "@muster/engine";
import * as names from "./names.ts";
import type { Worker } from "./worker.ts";

/** The workers that are known of in the cluster, found by what they are, by their pod, or by their job. */
export class Roster {
  private readonly workers = new Map<string, Worker>();
  private readonly byPod = new Map<string, Worker>();
  private readonly byJob = new Map<string, Set<Worker>>();

  add(worker: Worker): Worker {
    this.workers.set(names.workerName(worker.key), worker);
    if (worker.podName !== "") this.byPod.set(worker.podName, worker);
    const ofJob = this.byJob.get(worker.key.job);
    if (ofJob) ofJob.add(worker);
    else this.byJob.set(worker.key.job, new Set([worker]));
    return worker;
  }

  remove(worker: Worker): void {
    this.workers.delete(names.workerName(worker.key));
    this.byPod.delete(worker.podName);
    const ofJob = this.byJob.get(worker.key.job);
    if (ofJob?.delete(worker) && ofJob.size === 0) this.byJob.delete(worker.key.job);
  }

  get(key: WorkerKey): Worker | undefined {
    return this.workers.get(names.workerName(key));
  }

  ofPod(name: string): Worker | undefined {
    return this.byPod.get(name);
  }

  ofJob(job: string): Iterable<Worker> {
    return this.byJob.get(job) ?? [];
  }

  ofAttempt(key: AttemptKey): Worker[] {
    return [...this.ofJob(key.job)].filter((worker) => worker.key.attempt === key.attempt && worker.key.incarnation === key.incarnation);
  }

  [Symbol.iterator](): IterableIterator<Worker> {
    return this.workers.values();
  }
}
