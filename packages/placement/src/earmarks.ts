import { couldEverStart } from "./empty-cluster.ts";
import type { JobRecord } from "./jobs.ts";
import type { QueueNode, Usage } from "./quota.ts";
import type { State } from "./state.ts";

/**
 * Idle quota that is not lent during a cycle: its own queue has a job waiting that fits its guarantee, and could not
 * be sure to get it back, as it may not evict whoever borrows it.
 */
export class Earmarks {
  readonly #state: State;
  readonly #kept = new Map<QueueNode, Usage>();

  constructor(state: State) {
    this.#state = state;
  }

  keep(job: JobRecord, need: Usage): void {
    const { queue } = job;
    if ((queue.input.reclaim ?? "any_priority") === "any_priority" || this.#kept.has(queue)) return;
    const own = need.filter(({ dimension }) => (queue.entitled[dimension] ?? 0) > 0);
    if (own.length === 0 || own.some(({ dimension, amount }) => amount > queue.entitled[dimension]!)) return;
    if (!couldEverStart(this.#state, job.entry!.lane)) return;
    const usage = own.map(({ dimension, amount }) => ({
      dimension,
      amount: Math.max(0, Math.min(amount, queue.entitled[dimension]! - (queue.held[dimension] ?? 0))),
    }));
    this.#state.quota.charge(queue, usage);
    this.#kept.set(queue, usage);
  }

  /** Its own queue may use it. */
  release(queue: QueueNode): void {
    const usage = this.#kept.get(queue);
    if (usage === undefined) return;
    this.#kept.delete(queue);
    const { quota } = this.#state;
    const { freed } = quota;
    quota.refund(queue, usage);
    quota.freed = freed;
  }

  /** What is kept for a queue now. */
  of(queue: QueueNode): Usage | undefined {
    return this.#kept.get(queue);
  }

  releaseAll(): void {
    for (const queue of this.#kept.keys()) this.release(queue);
  }
}
