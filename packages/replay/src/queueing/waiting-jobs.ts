import type { OrderedJob } from "@muster/placement/ordering/job";

interface Entry {
  job: OrderedJob;
  key: number;
}

/**
 * Waiting jobs by size, each size a heap by key, so that what cannot fit is passed over a size at a time. Keys are
 * taken when a job is added and by `rekey`; lower goes first, the lower id among equals.
 */
export class WaitingJobs {
  readonly #key: (job: OrderedJob) => number;
  readonly #bySize = new Map<number, Entry[]>();
  #size = 0;

  constructor(key: (job: OrderedJob) => number) {
    this.#key = key;
  }

  get size(): number {
    return this.#size;
  }

  add(job: OrderedJob): void {
    let heap = this.#bySize.get(job.devices);
    if (heap === undefined) this.#bySize.set(job.devices, (heap = []));
    heap.push({ job, key: this.#key(job) });
    siftUp(heap, heap.length - 1);
    this.#size++;
  }

  /** The first job of all sizes that are not blocked. */
  first(blocked: ReadonlySet<number>): OrderedJob | undefined {
    let best: Entry | undefined;
    for (const [size, heap] of this.#bySize) {
      const head = heap[0];
      if (head !== undefined && !blocked.has(size) && (best === undefined || before(head, best))) best = head;
    }
    return best?.job;
  }

  /** Removes a job that `first` gave. */
  remove(job: OrderedJob): void {
    const heap = this.#bySize.get(job.devices);
    if (heap?.[0]?.job !== job) throw new Error(`job ${job.id} is not the first of its size`);
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      siftDown(heap, 0);
    }
    this.#size--;
  }

  /** Takes all keys anew. */
  rekey(): void {
    for (const heap of this.#bySize.values()) {
      for (const entry of heap) entry.key = this.#key(entry.job);
      for (let i = (heap.length >> 1) - 1; i >= 0; i--) siftDown(heap, i);
    }
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.key < b.key || (a.key === b.key && a.job.id < b.job.id);
}

function siftUp(heap: Entry[], from: number): void {
  let i = from;
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(heap[i]!, heap[parent]!)) return;
    [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
    i = parent;
  }
}

function siftDown(heap: Entry[], from: number): void {
  let i = from;
  for (;;) {
    const left = 2 * i + 1;
    const right = left + 1;
    let least = i;
    if (left < heap.length && before(heap[left]!, heap[least]!)) least = left;
    if (right < heap.length && before(heap[right]!, heap[least]!)) least = right;
    if (least === i) return;
    [heap[i], heap[least]] = [heap[least]!, heap[i]!];
    i = least;
  }
}
