import { createHash } from "node:crypto";
import type { AttemptKey, WorkerKey } from "@muster/engine";

/* How workers are named in the cluster. Names are functions of the keys, so that a create that is repeated finds what it made. */

const PREFIX = "muster.dev";
export const SHARD = `${PREFIX}/shard`;
export const JOB = `${PREFIX}/job`;
export const INCARNATION = `${PREFIX}/incarnation`;
export const ATTEMPT = `${PREFIX}/attempt`;
export const ROLE = `${PREFIX}/role`;
export const RANK = `${PREFIX}/rank`;
/** What an object is: `worker`, `seal`, `files`, `tokens`, `fences`. */
export const KIND = `${PREFIX}/kind`;
/** Both the gate that holds a gang's pods, and the annotation that says how many they are. */
export const GANG = `${PREFIX}/gang`;
/** What the engine must know of a worker to take it up again, as JSON. */
export const WORKER = `${PREFIX}/worker`;
/** `N` or `N stop`: raised to ask for a checkpoint; the shim sees it through the downward API. */
export const CONTROL = `${PREFIX}/control`;
/** Since when and with which grace a worker is being stopped, as JSON. */
export const STOP = `${PREFIX}/stop`;
/** Keeps a pod until its end is recorded, whoever deletes it. */
export const FINALIZER = `${PREFIX}/end`;

const NAME_LENGTH = 63;
const HASH_LENGTH = 8;

/** `job.incarnation-attempt` as one key. */
export function attemptName(key: AttemptKey): string {
  return `${key.job}.${key.incarnation}-${key.attempt}`;
}

export function workerName(key: WorkerKey): string {
  return `${attemptName(key)}/${key.worker}`;
}

export function attemptOf({ job, incarnation, attempt }: AttemptKey): AttemptKey {
  return { job, incarnation, attempt };
}

export function workerOf({ job, incarnation, attempt, worker }: WorkerKey): WorkerKey {
  return { job, incarnation, attempt, worker };
}

/** The role and the rank of `worker/3`. */
export function roleAndRank(worker: string): { role: string; rank: number } {
  const slash = worker.lastIndexOf("/");
  return { role: worker.slice(0, slash), rank: Number(worker.slice(slash + 1)) };
}

/** (job, attempt, role, rank), readable as far as it fits, and a hash of the whole key: also a valid host name. */
export function podName(key: WorkerKey): string {
  const { role, rank } = roleAndRank(key.worker);
  return named(`${slug(key.job)}-${key.attempt}-${slug(role)}-${rank}`, workerName(key));
}

export function sealName(key: AttemptKey, name: string): string {
  return named(`${slug(key.job)}-${key.attempt}-seal-${slug(name)}`, `${attemptName(key)} seal ${name}`);
}

function named(readable: string, whole: string): string {
  return `${readable.slice(0, NAME_LENGTH - HASH_LENGTH - 1).replace(/-+$/, "")}-${hash(whole).slice(0, HASH_LENGTH)}`;
}

/** Letters and digits alone, beginning with a letter. */
export function hash(text: string): string {
  return `h${createHash("sha256").update(text).digest("hex").slice(0, 19)}`;
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
}

/** The worker that a pod's labels and annotations tell of; undefined where it is none of ours. */
export function keyOfPod(metadata: { labels?: Record<string, string>; annotations?: Record<string, string> }): WorkerKey | undefined {
  const { labels = {} } = metadata;
  const [job, incarnation, attempt, role, rank] = [labels[JOB], labels[INCARNATION], Number(labels[ATTEMPT]), labels[ROLE], labels[RANK]];
  if (labels[KIND] !== "worker" || job === undefined || incarnation === undefined || role === undefined || rank === undefined) return undefined;
  if (!/^\d{1,18}$/.test(incarnation) || !Number.isSafeInteger(attempt) || !/^\d{1,7}$/.test(rank)) return undefined;
  return { job, incarnation, attempt, worker: `${role}/${rank}` };
}
