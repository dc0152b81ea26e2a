import type { JobRecord } from "./jobs.ts";
import type { QueueNode, QuotaTree, Usage } from "./quota.ts";
import { before, Heap, type Lane } from "./waiting.ts";

/** Where a queue's first job stands among those of the other queues. */
export interface Standing {
  borrowHeight: number;
  /** Weighted shares from the top of the tree down to the queue. */
  shares: number[];
}

/** Takes it anew, in place: this is done for each job that is looked at. */
export function stand(into: Standing, quota: QuotaTree, job: JobRecord, usage: Usage, past: (queue: QueueNode) => number): void {
  into.borrowHeight = quota.borrowHeight(job.queue, usage);
  into.shares.length = job.queue.depth;
  for (let queue: QueueNode = job.queue; queue.parent !== null; queue = queue.parent) {
    into.shares[queue.depth - 1] = quota.share(queue) + past(queue);
  }
}

/**
 * Across queues: who need not borrow, or only from nearby, goes first; then higher priority; then the lower weighted
 * share, compared from the top of the tree down; then the earlier job.
 */
export function ahead(a: { job: JobRecord; standing: Standing }, b: { job: JobRecord; standing: Standing }): boolean {
  if (a.standing.borrowHeight !== b.standing.borrowHeight) return a.standing.borrowHeight < b.standing.borrowHeight;
  if (a.job.input.priority !== b.job.input.priority) return a.job.input.priority > b.job.input.priority;
  const depth = Math.min(a.standing.shares.length, b.standing.shares.length);
  for (let i = 0; i < depth; i++) {
    const difference = a.standing.shares[i]! - b.standing.shares[i]!;
    if (Math.abs(difference) > 1e-12) return difference < 0;
  }
  return before(a.job, b.job);
}

function laneBefore(a: Lane, b: Lane): boolean {
  return before(a.turn!, b.turn!);
}

/** One queue's lanes under consideration in a cycle, its first job on top. */
export class QueueCursor {
  readonly queue: QueueNode;
  job: JobRecord;
  readonly standing: Standing = { borrowHeight: 0, shares: [] };
  /** Version of the quota tree at which the standing was computed. */
  version = -1;
  readonly #lanes: Heap<Lane>;

  /** Null when none of the lanes has a job. */
  static of(queue: QueueNode, lanes: Iterable<Lane>): QueueCursor | null {
    const heap = new Heap<Lane>(laneBefore);
    for (const lane of lanes) {
      lane.turn = lane.head();
      if (lane.turn !== null) heap.push(lane);
    }
    const first = heap.peek();
    return first === undefined ? null : new QueueCursor(queue, heap, first.turn!);
  }

  private constructor(queue: QueueNode, lanes: Heap<Lane>, job: JobRecord) {
    this.queue = queue;
    this.#lanes = lanes;
    this.job = job;
  }

  get lane(): Lane {
    return this.#lanes.peek()!;
  }

  /** Only these lanes, its first job on top. False where there is none. */
  keep(passes: (lane: Lane) => boolean): boolean {
    this.#lanes.keep(passes);
    const first = this.#lanes.peek();
    if (first === undefined) return false;
    this.job = first.turn!;
    return true;
  }

  /** Goes on to the next job: of the same lane this one, or none. False at the end. */
  next(ofLane: JobRecord | null): boolean {
    const lane = this.#lanes.pop()!;
    lane.turn = ofLane;
    if (lane.turn !== null) this.#lanes.push(lane);
    const first = this.#lanes.peek();
    if (first === undefined) return false;
    this.job = first.turn!;
    this.version = -1;
    return true;
  }
}
