/** Time as simulated engines see it: milliseconds, and something to do later. */
export interface Clock {
  now(): number;
  /** Runs `work` after so many milliseconds; returns how to call that off. */
  after(milliseconds: number, work: () => void): () => void;
}

interface Timer {
  at: number;
  order: number;
  work: (() => void) | undefined;
}

/** A clock that stands still until it is moved. Work of the same time runs in the order it was asked for. */
export class VirtualClock implements Clock {
  private time: number;
  private order = 0;
  private readonly heap: Timer[] = [];

  constructor(start = 0) {
    this.time = start;
  }

  now(): number {
    return this.time;
  }

  after(milliseconds: number, work: () => void): () => void {
    const timer: Timer = { at: this.time + Math.max(0, milliseconds), order: this.order++, work };
    this.push(timer);
    return () => {
      timer.work = undefined;
    };
  }

  /** When the next work is due; undefined where there is none. */
  next(): number | undefined {
    while (this.heap[0] && !this.heap[0].work) this.pop();
    return this.heap[0]?.at;
  }

  /** Moves time forward, doing what falls due on the way. */
  advance(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (let due = this.next(); due !== undefined && due <= end; due = this.next()) {
      this.time = due;
      this.pop()?.work?.();
    }
    this.time = end;
  }

  private push(timer: Timer): void {
    const { heap } = this;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (before(heap[up] as Timer, timer)) break;
      heap[at] = heap[up] as Timer;
      at = up;
    }
    heap[at] = timer;
  }

  private pop(): Timer | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let down = at * 2 + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && before(heap[down + 1] as Timer, heap[down] as Timer)) down++;
      if (before(last, heap[down] as Timer)) break;
      heap[at] = heap[down] as Timer;
      at = down;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
