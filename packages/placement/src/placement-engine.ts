import type { NodeInput, PoolInput, WindowInput } from "./cluster-input.ts";
import type { CycleResult, MemberPlacement } from "./decisions.ts";
import type { Explanation, PoolFree, WaitReason } from "./explanation.ts";
import type { JobInput } from "./job-input.ts";
import type { Plan } from "./plan.ts";
import type { Policy } from "./policy.ts";
import type { QueueInput } from "./queue-input.ts";
import type { ClusterChange } from "./what-if.ts";

/** A running gang as the store knows it, for the rebuild after a restart. */
export interface RunningJob {
  variant: number;
  members: readonly MemberPlacement[];
  startedAt: number;
  lastCheckpointAt?: number;
  /** Set when it is being stopped: for whom its capacity is kept. */
  stoppingFor?: string;
}

/** A run that ended well, for what is learned of its class. */
export interface FinishedRun {
  jobClass: string;
  accelerator: string;
  /** Milliseconds. */
  runTime: number;
}

/**
 * The engine. State changes are fed in as they are committed; `cycle` decides. Calls are synchronous and
 * deterministic: the same calls in the same order give the same answers. Unknown ids and impossible values throw
 * an Error that names them.
 */
export interface PlacementEngine {
  setPolicy(policy: Partial<Policy>): void;

  putPool(pool: PoolInput): void;
  putNode(node: NodeInput): void;
  /** The node leaves the cluster; it must hold no job. */
  removeNode(id: string): void;

  putWindow(window: WindowInput): void;
  removeWindow(id: string): void;

  putQueue(queue: QueueInput): void;
  /** The queue must have no job and no child. */
  removeQueue(id: string): void;

  submit(job: JobInput): void;
  /** Replaces what is known of a job; a running one keeps its placement. */
  updateJob(job: JobInput): void;
  /** A waiting or running job is gone for good; what it held is free. */
  removeJob(id: string): void;

  /** A submitted job runs on these nodes (rebuild after a restart, or another's decision). */
  started(id: string, running: RunningJob): void;
  /** Running time begins to count for protection and estimates. */
  checkpointed(id: string, at: number): void;
  /** Runs that ended before the engine knew of them, the latest last. */
  learn(runs: readonly FinishedRun[]): void;
  /** The job ended; what it held is free. Same as `removeJob`, and its run time is learned from. */
  finished(id: string, at: number): void;
  /**
   * All workers of a job are confirmed dead. It waits again; after a move, shrink or grow the next cycle starts it
   * in the places kept for it.
   */
  released(id: string, at: number): void;
  /** These members of a shrinking job are confirmed dead, and the others go on without a restart. */
  membersReleased(id: string, members: readonly { role: string; rank: number }[], at: number): void;
  /**
   * These members of a running gang are lost for good, the others keep their places for it. Cycles look for
   * replacements around them and start the gang anew, whole; `released` gives up waiting for that.
   */
  lost(id: string, members: readonly { role: string; rank: number }[], at: number): void;
  /** A decision of the last cycle could not be committed: back to before it. */
  undo(id: string): void;

  cycle(now: number): CycleResult;
  explain(id: string): Explanation;
  /** The dominant reason alone: much cheaper than the whole explanation. */
  waitReason(id: string): WaitReason;
  /**
   * Works on the estimated starts of all waiting jobs until about `budgetMs` of the caller's clock have passed; decides
   * nothing. True when all are done; the next call then begins anew. `explain` gives these for a minute.
   */
  estimates(now: number, budgetMs: number, clock: () => number): boolean;
  /** What-if: nothing is changed. */
  plan(job: JobInput, now: number, change?: ClusterChange): Plan;
  capacity(): readonly PoolFree[];
}
