import type { Observation, WorkerStart } from "@muster/engine";

/* What a virtual worker does, in milliseconds after its start. */

export type Act =
  | { kind: "print"; line: string }
  | ({ kind: "progress" } & Pick<Extract<Observation, { kind: "progress" }>, "step" | "total" | "loss" | "rate" | "phase">)
  | { kind: "commit"; step: number; generation?: number }
  | { kind: "exit"; code: number }
  | { kind: "signal"; signal: string; oom?: boolean };

export interface Script {
  /** Until the process is there. */
  startsAfter: number;
  /** The worker can't be started, for this reason. */
  fails?: string;
  acts: { after: number; act: Act }[];
  /** Until it ends on SIGTERM; absent: SIGTERM doesn't end it. */
  endsOnTerm?: number;
  /** Answers "checkpoint now" with a commit after so long. */
  checkpoints?: { after: number; step: () => number };
}

/** Decides what a worker will do, when it is started. */
export type Outcome = (start: WorkerStart) => Script;
