import type { AttemptKey, WorkerKey } from "@muster/engine";

/** `job.incarnation-attempt`: one attempt, as a map key and a folder's name. */
export function attemptName(key: AttemptKey): string {
  return `${key.job}.${key.incarnation}-${key.attempt}`;
}

/** `worker/0` → `worker.0`: a worker as a folder's name. The rank is what follows the last dot. */
export function workerSlug(worker: string): string {
  return worker.replace("/", ".");
}

export function workerName(key: WorkerKey): string {
  return `${attemptName(key)}.${workerSlug(key.worker)}`;
}

export function attemptOf(key: AttemptKey): AttemptKey {
  return { job: key.job, incarnation: key.incarnation, attempt: key.attempt };
}

export function workerOf(key: WorkerKey): WorkerKey {
  return { job: key.job, incarnation: key.incarnation, attempt: key.attempt, worker: key.worker };
}
