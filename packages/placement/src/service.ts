import { devicesEach } from "./counts.ts";
import type { JobRecord } from "./jobs.ts";
import type { OrderedJob } from "./ordering/job.ts";
import { ServiceOrder, type Knowledge } from "./ordering/service-order.ts";
import type { QueueNode } from "./quota.ts";
import type { State } from "./state.ts";
import type { Lane } from "./waiting.ts";

/** Jobs age and learn: keys of waiting jobs are taken anew this often. */
const REKEY_MS = 10 * 60_000;
/** Seconds that a restart is taken to cost; a running job is ahead by a few of these. */
const RESTART_S = 30;
/** What a job without devices counts as. */
const NO_DEVICE = 0.1;

/**
 * Queues whose order is `least_service`: of equally urgent jobs those go first that are expected to need the fewest further
 * device-seconds, and running ones that need more may have to stop for them. What a job needs is taken from its expected
 * duration, else from finished jobs relative to its time limit, else from finished jobs alone.
 */
export class Service {
  readonly #orders: Readonly<Record<Knowledge, ServiceOrder>> = {
    nothing: new ServiceOrder("nothing", 1),
    limits: new ServiceOrder("limits", 1),
    runtimes: new ServiceOrder("runtimes", 1),
  };
  readonly #behind = new Map<QueueNode, { at: number; jobs: readonly JobRecord[]; keys: Float64Array; devices: Float64Array }>();
  /** Raised when so much was learned that keys are out of date. */
  #version = 0;

  setClusterDevices(devices: number): void {
    for (const order of Object.values(this.#orders)) order.clusterDevices = Math.max(1, devices);
  }

  /** Lower goes first; 0 in queues of another order. */
  key(job: JobRecord, now: number): number {
    if (!byService(job.queue)) return 0;
    const asked = orderedJob(job, now);
    return this.#orders[knowledgeOf(asked)].key(asked, now / 1000, job.state === "running");
  }

  /** Learns from a job that ran to its end. */
  finished(job: JobRecord, at: number): void {
    const { runTime: _, ...asked } = orderedJob(job, at);
    let old = this.#orders.nothing.finished(asked);
    if (asked.limit !== undefined) old = this.#orders.limits.finished(asked) || old;
    if (old) this.#version++;
  }

  /** Takes the keys of a lane's jobs anew where they are out of date. */
  refresh(lane: Lane, now: number): void {
    if (lane.keyedVersion === this.#version && now - lane.keyedAt < REKEY_MS) return;
    lane.rekey((job) => this.key(job, now));
    lane.keyedAt = now;
    lane.keyedVersion = this.#version;
  }

  /** The queue's running jobs that come after a key, the last first, as it was when first asked at this instant. */
  behind(state: State, queue: QueueNode, key: number): Behind {
    let known = this.#behind.get(queue);
    if (known?.at !== state.now) {
      const jobs = [...state.running.of(queue).jobs].filter((job) => job.input.preemptible);
      for (const job of jobs) job.need = this.key(job, state.now);
      jobs.sort((a, b) => b.need - a.need);
      const devices = new Float64Array(jobs.length + 1);
      for (const [i, job] of jobs.entries()) devices[i + 1] = devices[i]! + devicesOf(job);
      known = { at: state.now, jobs, keys: Float64Array.from(jobs, (job) => job.need), devices };
      this.#behind.set(queue, known);
    }
    let from = 0;
    for (let to = known.keys.length; from < to; ) {
      const middle = (from + to) >> 1;
      if (known.keys[middle]! > key) from = middle + 1;
      else to = middle;
    }
    return { jobs: known.jobs, count: from, devices: known.devices[from]! };
  }

  forget(queue: QueueNode): void {
    this.#behind.delete(queue);
  }
}

/** Of the jobs, the first so many, and their devices; some may have left since. */
export interface Behind {
  jobs: readonly JobRecord[];
  count: number;
  devices: number;
}

export function byService(queue: QueueNode): boolean {
  return queue.input.order === "least_service";
}

function devicesOf(job: JobRecord): number {
  const { roles } = job.request.variants[0]!;
  return roles.reduce((sum, { shape, min }) => sum + min * (shape.share > 0 ? shape.share / 1000 : devicesEach(shape)), 0);
}

function orderedJob(job: JobRecord, now: number): OrderedJob {
  const { expectedDuration, timeLimit, submittedAt, queue, ran = 0 } = job.input;
  const runs = job.state === "running" ? Math.max(0, now - job.startedAt) : 0;
  return {
    id: job.sequence,
    devices: Math.max(NO_DEVICE, devicesOf(job)),
    submittedAt: submittedAt / 1000,
    tenant: queue,
    ran: (ran + runs) / 1000,
    restartCost: RESTART_S,
    ...(expectedDuration === undefined ? {} : { runTime: (expectedDuration + ran) / 1000 }),
    ...(timeLimit === undefined ? {} : { limit: (timeLimit + ran) / 1000 }),
  };
}

function knowledgeOf(job: OrderedJob): Knowledge {
  return job.runTime !== undefined ? "runtimes" : job.limit !== undefined ? "limits" : "nothing";
}
