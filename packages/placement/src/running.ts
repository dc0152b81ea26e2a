import type { JobRecord } from "./jobs.ts";
import { durations, type Learned } from "./learned.ts";
import type { QueueNode } from "./quota.ts";
import type { Request } from "./request.ts";

/** Jobs that run, by queue, with what searches for victims ask about a whole queue kept at hand. */
export class RunningJobs {
  readonly byQueue = new Map<QueueNode, Set<JobRecord>>();
  /** Those with fewer members than they could use, or more than they need. */
  readonly elastic = new Set<JobRecord>();
  /** Those that go by speed, by what they ask. */
  readonly bySpeed = new Map<Request, Set<JobRecord>>();
  /** When those end whose end is known, by what is expected and by a limit. */
  readonly ending = new Map<JobRecord, { likely: number; longest: number }>();
  readonly #versions = new Map<QueueNode, number>();
  readonly #oldestStart = new Map<QueueNode, number>();
  readonly #leastUrgent = new Map<QueueNode, number>();

  of(queue: QueueNode): ReadonlySet<JobRecord> {
    return this.byQueue.get(queue) ?? NONE;
  }

  /** Whether anything runs in another queue. */
  anyBeside(queue: QueueNode): boolean {
    for (const [other, jobs] of this.byQueue) if (other !== queue && jobs.size > 0) return true;
    return false;
  }

  /** Raised when what runs in a queue changes. */
  version(queue: QueueNode): number {
    return this.#versions.get(queue) ?? 0;
  }

  changed(queue: QueueNode): void {
    this.#versions.set(queue, this.version(queue) + 1);
  }

  add(job: JobRecord, learned: Learned): void {
    const { queue } = job;
    this.changed(queue);
    const { likely, longest } = durations(job, learned);
    if (likely < Infinity) this.ending.set(job, { likely: job.startedAt + likely, longest: job.startedAt + longest });
    const running = this.byQueue.get(queue) ?? new Set();
    running.add(job);
    this.byQueue.set(queue, running);
    const oldest = this.#oldestStart.get(queue);
    if (oldest !== undefined && job.startedAt < oldest) this.#oldestStart.set(queue, job.startedAt);
    const least = this.#leastUrgent.get(queue);
    if (least !== undefined && job.input.priority < least) this.#leastUrgent.set(queue, job.input.priority);
    if (job.placement!.roles.some(({ role }) => role.min < role.max)) this.elastic.add(job);
    if (job.request.policy === "fastest") this.bySpeed.set(job.request, (this.bySpeed.get(job.request) ?? new Set()).add(job));
  }

  remove(job: JobRecord): void {
    const { queue } = job;
    this.changed(queue);
    this.ending.delete(job);
    this.elastic.delete(job);
    const alike = this.bySpeed.get(job.request);
    if (alike?.delete(job) === true && alike.size === 0) this.bySpeed.delete(job.request);
    this.byQueue.get(queue)?.delete(job);
    if (this.#oldestStart.get(queue) === job.startedAt) this.#oldestStart.delete(queue);
    // Its priority may have been changed since, so the least is found anew in any case.
    this.#leastUrgent.delete(queue);
  }

  forget(queue: QueueNode): void {
    this.byQueue.delete(queue);
    this.#versions.delete(queue);
    this.#oldestStart.delete(queue);
    this.#leastUrgent.delete(queue);
  }

  /** The lowest priority that runs in a queue, or infinity. */
  leastUrgent(queue: QueueNode): number {
    let least = this.#leastUrgent.get(queue);
    if (least === undefined) {
      least = Infinity;
      for (const job of this.of(queue)) least = Math.min(least, job.input.priority);
      this.#leastUrgent.set(queue, least);
    }
    return least;
  }

  /** The earliest start of what runs in a queue, or infinity. */
  oldestStart(queue: QueueNode): number {
    let oldest = this.#oldestStart.get(queue);
    if (oldest === undefined) {
      oldest = Infinity;
      for (const job of this.of(queue)) oldest = Math.min(oldest, job.startedAt);
      this.#oldestStart.set(queue, oldest);
    }
    return oldest;
  }
}

const NONE: ReadonlySet<JobRecord> = new Set();
