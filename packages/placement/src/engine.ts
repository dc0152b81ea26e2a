import { runCycle } from "./cycle.ts";
import { explainJob, reasonFor } from "./explain.ts";
import { planJob } from "./plan.ts";
import { State } from "./state.ts";
import { putWindow, removeWindow } from "./windows.ts";
import type {
  ClusterChange,
  ClusterOptions,
  CycleResult,
  Explanation,
  FinishedRun,
  JobInput,
  NodeInput,
  PlacementEngine,
  Plan,
  Policy,
  PoolFree,
  PoolInput,
  QueueInput,
  RunningJob,
  WaitReason,
  WindowInput,
} from "./types.ts";
import { poolsFree } from "./capacity.ts";

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
  }

  putNode(node: NodeInput): void {
    this.#state.putNode(node);
  }

  removeNode(id: string): void {
    this.#state.removeNode(id);
  }

  putWindow(window: WindowInput): void {
    putWindow(this.#state, window);
  }

  removeWindow(id: string): void {
    removeWindow(this.#state, id);
  }

  putQueue(queue: QueueInput): void {
    this.#state.putQueue(queue);
  }

  removeQueue(id: string): void {
    this.#state.removeQueue(id);
  }

  submit(job: JobInput): void {
    this.#state.submit(job);
  }

  updateJob(job: JobInput): void {
    this.#state.updateJob(job);
  }

  removeJob(id: string): void {
    this.#state.removeJob(id);
  }

  started(id: string, running: RunningJob): void {
    this.#state.restore(id, running);
  }

  checkpointed(id: string, at: number): void {
    this.#state.get(id).lastCheckpointAt = at;
  }

  learn(runs: readonly FinishedRun[]): void {
    for (const run of runs) this.#state.learned.add(run);
  }

  finished(id: string, at: number): void {
    const job = this.#state.get(id);
    this.#state.learned.observe(job, at);
    if (job.state === "running") this.#state.service.finished(job, at);
    this.#state.removeJob(id);
  }

  released(id: string, _at: number): void {
    this.#state.release(this.#state.get(id));
  }

  membersReleased(id: string, members: readonly { role: string; rank: number }[], _at: number): void {
    const job = this.#state.get(id);
    if (job.leaving !== null) {
      this.#state.left(job);
      job.resized = false;
    } else this.#state.dropMembers(job, members);
  }

  lost(id: string, members: readonly { role: string; rank: number }[], _at: number): void {
    this.#state.loseMembers(this.#state.get(id), members);
  }

  undo(id: string): void {
    const job = this.#state.get(id);
    if (job.leaving !== null) this.#state.unevict(job);
    else if (job.grownFrom !== null) this.#state.ungrow(job, job.grownFrom);
    else this.#state.requeue(job);
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
