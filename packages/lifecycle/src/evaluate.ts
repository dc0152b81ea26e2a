import type { AttemptState, WorkerState } from "@muster/model";

/** What is known of one worker of an attempt. */
export interface WorkerFacts {
  worker: string;
  node: string;
  state: WorkerState;
  desired: "run" | "stop" | "kill";
  exitCode: number | null;
  signal: string | null;
  oom: boolean;
  reason: string | null;
  /** It can't be asked whether it lives, as its node is lost, and the job goes on without it. */
  unconfirmed?: boolean;
}

export type Evaluation =
  | { kind: "wait" }
  /** Every worker is up for the first time. */
  | { kind: "all_up" }
  /** At least one failed by itself: bring the others down at once; judge when all is known. */
  | { kind: "failed"; failed: WorkerFacts[] }
  | { kind: "all_done" }
  /** All are dead, or on lost nodes, after a stop or a failure. */
  | { kind: "down" };

/** Ended without having been asked to, and not well. */
export function failedByItself(worker: WorkerFacts): boolean {
  if (worker.state === "lost") return worker.desired === "run";
  return worker.state === "exited" && worker.desired === "run" && (worker.exitCode !== 0 || worker.signal !== null);
}

export function isOver(worker: WorkerFacts): boolean {
  return worker.state === "exited" || worker.state === "lost";
}

/** What the facts about a gang mean for its attempt. Pure: asked again with the same facts, it answers the same. */
export function evaluateGang(state: AttemptState, workers: readonly WorkerFacts[]): Evaluation {
  if (state === "ended") return { kind: "wait" };
  const over = workers.every(isOver);
  if (state === "stopping") return workers.every((worker) => isOver(worker) || worker.unconfirmed) ? { kind: "down" } : { kind: "wait" };
  const failed = workers.filter((worker) => failedByItself(worker) || (worker.unconfirmed && !isOver(worker)));
  if (failed.length > 0) return { kind: "failed", failed };
  if (over) return { kind: "all_done" };
  if (state !== "running" && workers.every((worker) => worker.state === "running" || isOver(worker))) return { kind: "all_up" };
  return { kind: "wait" };
}
