import type { JobRecord } from "./jobs.ts";
import { durations, type Learned } from "./learned.ts";
import type { Partition } from "./partition.ts";
import type { QueueNode } from "./quota.ts";
import type { Request } from "./request.ts";
import type { Unit } from "./victims.ts";

interface ListedUnits {
  cycle: number;
  version: number;
  partitions: readonly Partition[];
  all: readonly Unit[];
  upTo: Map<number, readonly Unit[]>;
}

/** Jobs of one queue and priority that may be stopped. */
interface UrgencyClass {
  priority: number;
  jobs: number;
  /** Not a number where the oldest has left: to be found anew. */
  oldestStart: number;
}

/** What runs of one queue, with what searches for victims ask about all of it kept at hand. */
export class RunningOfQueue {
  readonly jobs = new Set<JobRecord>();
  /** Raised when what runs changes. */
  version = 0;
  /** What of it may go, as listed last: in order, all of it and by the highest priority. */
  listed: ListedUnits = { cycle: -1, version: -1, partitions: [], all: [], upTo: new Map() };
  /** How many have fewer members than they could use, or more than they need. */
  elastic = 0;
  /** Those that may be stopped, the least urgent first. */
  readonly #classes: UrgencyClass[] = [];

  add(job: JobRecord): void {
    if (this.jobs.has(job)) return;
    this.jobs.add(job);
    const { priority, preemptible } = job.input;
    if (!preemptible) return;
    let at = 0;
    while (at < this.#classes.length && this.#classes[at]!.priority < priority) at++;
    let alike = this.#classes[at];
    if (alike?.priority !== priority) {
      alike = { priority, jobs: 0, oldestStart: Infinity };
      this.#classes.splice(at, 0, alike);
    }
    alike.jobs++;
    // Where the oldest has left, it is not a number, and stays so.
    alike.oldestStart = Math.min(alike.oldestStart, job.startedAt);
  }

  delete(job: JobRecord): void {
    const { priority, preemptible } = job.input;
    if (!this.jobs.delete(job) || !preemptible) return;
    const at = this.#classes.findIndex((one) => one.priority === priority);
    const alike = this.#classes[at]!;
    if (--alike.jobs === 0) this.#classes.splice(at, 1);
    else if (job.startedAt === alike.oldestStart) alike.oldestStart = NaN;
  }

  /** The lowest priority of those that may be stopped, or infinity. */
  get leastUrgent(): number {
    return this.#classes[0]?.priority ?? Infinity;
  }

  /** The earliest start of those up to a priority that may be stopped, or infinity. */
  oldestStart(most: number): number {
    let oldest = Infinity;
    for (const alike of this.#classes) {
      if (alike.priority > most) break;
      if (Number.isNaN(alike.oldestStart)) this.#look(alike);
      if (alike.oldestStart < oldest) oldest = alike.oldestStart;
    }
    return oldest;
  }

  #look(alike: UrgencyClass): void {
    alike.oldestStart = Infinity;
    for (const { startedAt, input } of this.jobs) {
      if (input.priority === alike.priority && input.preemptible && startedAt < alike.oldestStart) alike.oldestStart = startedAt;
    }
  }
}

/** Jobs that run, by queue. */
export class RunningJobs {
  /** Those with fewer members than they could use, or more than they need. */
  readonly elastic = new Set<JobRecord>();
  /** Those that go by speed, by what they ask. */
  readonly bySpeed = new Map<Request, Set<JobRecord>>();
  /** When those end whose end is known, by what is expected and by a limit. */
  readonly ending = new Map<JobRecord, { likely: number; longest: number }>();
  readonly #byQueue = new Map<QueueNode, RunningOfQueue>();
  #jobs = 0;

  of(queue: QueueNode): RunningOfQueue {
    let known = this.#byQueue.get(queue);
    if (known === undefined) {
      known = new RunningOfQueue();
      this.#byQueue.set(queue, known);
    }
    return known;
  }

  /** Whether anything runs in another queue. */
  anyBeside(queue: QueueNode): boolean {
    return this.#jobs > this.of(queue).jobs.size;
  }

  add(job: JobRecord, learned: Learned): void {
    const { likely, longest } = durations(job, learned);
    if (likely < Infinity) this.ending.set(job, { likely: job.startedAt + likely, longest: job.startedAt + longest });
    const here = this.of(job.queue);
    here.version++;
    if (!here.jobs.has(job)) this.#jobs++;
    here.add(job);
    if (!this.elastic.has(job) && job.placement!.roles.some(({ role }) => role.min < role.max)) {
      this.elastic.add(job);
      here.elastic++;
    }
    if (job.request.policy === "fastest") this.bySpeed.set(job.request, (this.bySpeed.get(job.request) ?? new Set()).add(job));
  }

  /** It begins anew where it is. */
  restart(job: JobRecord, at: number): void {
    const here = this.of(job.queue);
    here.delete(job);
    job.startedAt = at;
    here.add(job);
  }

  remove(job: JobRecord): void {
    const here = this.of(job.queue);
    here.version++;
    if (here.jobs.has(job)) this.#jobs--;
    here.delete(job);
    if (this.elastic.delete(job)) here.elastic--;
    this.ending.delete(job);
    const alike = this.bySpeed.get(job.request);
    if (alike?.delete(job) === true && alike.size === 0) this.bySpeed.delete(job.request);
  }

  forget(queue: QueueNode): void {
    this.#byQueue.delete(queue);
  }
}
