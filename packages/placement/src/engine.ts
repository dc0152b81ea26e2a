import { poolsFree } from "./capacity.ts";
import type { ClusterOptions, NodeInput, PoolInput, WindowInput } from "./cluster-input.ts";
import { runCycle } from "./cycle.ts";
import type { CycleResult } from "./decisions.ts";
import { explainJob, reasonFor } from "./explain.ts";
import type { Explanation, PoolFree, WaitReason } from "./explanation.ts";
import type { JobInput } from "./job-input.ts";
import type { JobRecord } from "./jobs.ts";
import { removeJob, submit, updateJob } from "./known-jobs.ts";
import { putNode, removeNode } from "./node-inputs.ts";
import type { FinishedRun, PlacementEngine, RunningJob } from "./placement-engine.ts";
import { dropMembers, loseMembers, requeue } from "./places.ts";
import { planJob, type Plan } from "./plan.ts";
import type { Policy } from "./policy.ts";
import type { QueueInput } from "./queue-input.ts";
import { putQueue, removeQueue } from "./queues.ts";
import type { QueueNode } from "./quota.ts";
import { restore } from "./restore.ts";
import { State } from "./state.ts";
import { left, release, unevict, ungrow } from "./stopping.ts";
import type { ClusterChange } from "./what-if.ts";
import { putWindow, removeWindow } from "./windows.ts";

function upwards(queue: QueueNode): QueueNode[] {
  const path: QueueNode[] = [];
  for (let up: QueueNode | null = queue; up.parent !== null; up = up.parent) path.push(up);
  return path;
}

/** The placement engine over one cluster. Create it with `createEngine`. */
class Engine implements PlacementEngine {
  readonly #state: State;

  constructor(options: ClusterOptions) {
    this.#state = new State(options);
  }

  setPolicy(policy: Partial<Policy>): void {
    this.#state.setPolicy(policy);
  }

  putPool(pool: PoolInput): void {
    this.#state.placer.pools.set(pool.id, pool);
    this.#state.placer.version++;
    this.#state.empty.version++;
  }

  putNode(node: NodeInput): void {
    putNode(this.#state, node);
  }

  removeNode(id: string): void {
    removeNode(this.#state, id);
  }

  putWindow(window: WindowInput): void {
    putWindow(this.#state, window);
  }

  removeWindow(id: string): void {
    removeWindow(this.#state, id);
  }

  putQueue(queue: QueueInput): void {
    putQueue(this.#state, queue);
  }

  removeQueue(id: string): void {
    removeQueue(this.#state, id);
  }

  submit(job: JobInput): void {
    submit(this.#state, job);
  }

  updateJob(job: JobInput): void {
    updateJob(this.#state, job);
  }

  removeJob(id: string): void {
    removeJob(this.#state, id);
  }

  started(id: string, running: RunningJob): void {
    restore(this.#state, id, running);
  }

  checkpointed(id: string, at: number): void {
    this.#state.get(id).lastCheckpointAt = at;
  }

  learn(runs: readonly FinishedRun[]): void {
    for (const run of runs) this.#state.learned.add(run);
  }

  finished(id: string, at: number): void {
    const job = this.#usedUntil(id, at);
    this.#state.learned.observe(job, at);
    if (job.state === "running") this.#state.service.finished(job, at);
    removeJob(this.#state, id);
  }

  released(id: string, at: number): void {
    release(this.#state, this.#usedUntil(id, at));
  }

  membersReleased(id: string, members: readonly { role: string; rank: number }[], at: number): void {
    const job = this.#usedUntil(id, at);
    if (job.leaving !== null) {
      left(this.#state, job);
      job.resized = false;
    } else dropMembers(this.#state, job, members);
  }

  lost(id: string, members: readonly { role: string; rank: number }[], at: number): void {
    loseMembers(this.#state, this.#usedUntil(id, at), members);
  }

  /** A job that may be about to give something back: what its queue, and those above it, hold has been used until now. */
  #usedUntil(id: string, at: number): JobRecord {
    const job = this.#state.get(id);
    this.#state.countUse(at, upwards(job.queue));
    return job;
  }

  undo(id: string): void {
    const job = this.#state.get(id);
    if (job.leaving !== null) unevict(this.#state, job);
    else if (job.grownFrom !== null) ungrow(this.#state, job, job.grownFrom);
    else requeue(this.#state, job);
  }

  cycle(now: number): CycleResult {
    return runCycle(this.#state, now);
  }

  waitReason(id: string): WaitReason {
    return reasonFor(this.#state, this.#state.get(id));
  }

  explain(id: string): Explanation {
    return explainJob(this.#state, this.#state.get(id));
  }

  estimates(now: number, budgetMs: number, clock: () => number): boolean {
    this.#state.advance(now);
    this.#state.settle();
    return this.#state.estimates.advance(budgetMs, clock);
  }

  plan(job: JobInput, now: number, change: ClusterChange = {}): Plan {
    return planJob(this.#state, job, now, change);
  }

  capacity(): readonly PoolFree[] {
    this.#state.settle();
    return poolsFree(this.#state, null);
  }
}

export function createEngine(options: ClusterOptions = {}): PlacementEngine {
  return new Engine(options);
}
