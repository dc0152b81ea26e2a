import type { ExpectedShape } from "./mix.ts";
import { drawFutures, offersFor } from "./offers.ts";
import type { Offers } from "./offers.ts";
import { WHOLE_DEVICE, isFractional } from "./shape.ts";
import type { Shape } from "./shape.ts";

const MAX_DEVICES = 4096;
const MEMO_SIZE = 1 << 18;

interface ModelOffers {
  sampled: Offers;
  /** Every shape of the mix that the model can run, for the one arrival that comes next. */
  next: Offers;
  nextWeight: Float64Array;
}

/** What is free on one node. `free` holds the free thousandths of each device in its first `devices` entries. */
export interface NodeRoom {
  cpu: number;
  memory: number;
  model: number;
  devices: number;
  free: Int32Array;
}

export function emptyRoom(): NodeRoom {
  return { cpu: 0, memory: 0, model: 0, devices: 0, free: new Int32Array(MAX_DEVICES) };
}

/**
 * How many thousandths of devices a node's free room can be expected to serve, given the mix of arrivals: the mean
 * over sampled futures in which a fixed number of arrivals is offered to the node and each that fits is taken, plus
 * the exact expectation for the very next arrival (rare large shapes are hardly sampled). A member goes where it
 * lowers this least. FGD's gradient looks at one arrival and at no consequence of placing it.
 */
export class ExpectedUse {
  readonly #futures: ExpectedShape[][];
  readonly #mix: readonly ExpectedShape[];
  readonly #byModel = new Map<number, ModelOffers>();
  readonly #memo = new Map<number, number>();
  readonly #partial = new Int32Array(MAX_DEVICES);
  readonly #work = new Int32Array(2 * MAX_DEVICES);
  #whole = 0;
  #partials = 0;

  /** Without a mix every room is worth as much as any other. */
  constructor(mix: readonly ExpectedShape[]) {
    this.#mix = mix;
    this.#futures = drawFutures(mix);
  }

  /** Expected use of the room as it is. */
  value(room: NodeRoom): number {
    this.#load(room);
    return this.#loaded(room.cpu, room.memory, room.model);
  }

  /**
   * How much expected use is lost when the shape is placed in the room, and on which device a fractional shape
   * loses least (an index of room.free, -1 for whole devices). The shape must fit.
   */
  loss(room: NodeRoom, shape: Shape, out: { device: number }): number {
    const before = this.value(room);
    const cpu = room.cpu - shape.cpu;
    const memory = room.memory - shape.memory;
    out.device = -1;
    if (!isFractional(shape)) {
      this.#whole -= shape.devices;
      return before - this.#loaded(cpu, memory, room.model);
    }
    let best = Number.NEGATIVE_INFINITY;
    for (let d = 0; d < room.devices; d++) {
      const free = room.free[d]!;
      if (free < shape.share || seenBefore(room.free, d)) continue;
      room.free[d] = free - shape.share;
      this.#load(room);
      room.free[d] = free;
      const after = this.#loaded(cpu, memory, room.model);
      if (after > best) {
        best = after;
        out.device = d;
      }
    }
    return before - best;
  }

  /** Splits the devices into wholly free ones and a sorted list of partly free ones. */
  #load(room: NodeRoom): void {
    this.#whole = 0;
    this.#partials = 0;
    for (let d = 0; d < room.devices; d++) {
      const free = room.free[d]!;
      if (free === WHOLE_DEVICE) this.#whole++;
      else if (free > 0) {
        let at = this.#partials++;
        for (; at > 0 && this.#partial[at - 1]! > free; at--) this.#partial[at] = this.#partial[at - 1]!;
        this.#partial[at] = free;
      }
    }
  }

  #loaded(cpu: number, memory: number, model: number): number {
    if (this.#whole === 0 && this.#partials === 0) return 0;
    const key = this.#key(cpu, memory, model);
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const offers = this.#offers(model);
    const value = this.#sampled(offers.sampled, cpu, memory) + this.#next(offers, cpu, memory);
    if (this.#memo.size >= MEMO_SIZE) this.#memo.clear();
    this.#memo.set(key, value);
    return value;
  }

  #sampled(offers: Offers, cpu: number, memory: number): number {
    const { start, cpu: needCpu, memory: needMemory, devices, share } = offers;
    const work = this.#work;
    const futures = start.length - 1;
    let served = 0;
    for (let f = 0; f < futures; f++) {
      let cpuLeft = cpu;
      let memoryLeft = memory;
      let whole = this.#whole;
      let partials = this.#partials;
      for (let i = 0; i < partials; i++) work[i] = this.#partial[i]!;
      for (let i = start[f]!; i < start[f + 1]!; i++) {
        if (needCpu[i]! > cpuLeft || needMemory[i]! > memoryLeft) continue;
        const size = share[i]!;
        if (size === WHOLE_DEVICE) {
          if (devices[i]! > whole) continue;
          whole -= devices[i]!;
          served += devices[i]! * WHOLE_DEVICE;
        } else {
          let best = -1;
          for (let p = 0; p < partials; p++) {
            if (work[p]! >= size && (best < 0 || work[p]! < work[best]!)) best = p;
          }
          if (best < 0) {
            if (whole === 0) continue;
            whole--;
            best = partials++;
            work[best] = WHOLE_DEVICE;
          }
          work[best]! -= size;
          served += size;
        }
        cpuLeft -= needCpu[i]!;
        memoryLeft -= needMemory[i]!;
      }
    }
    return served / futures;
  }

  #next({ next, nextWeight }: ModelOffers, cpu: number, memory: number): number {
    const roomiest = this.#whole > 0 ? WHOLE_DEVICE : this.#partial[this.#partials - 1]!;
    let expected = 0;
    for (let i = 0; i < nextWeight.length; i++) {
      if (next.cpu[i]! > cpu || next.memory[i]! > memory) continue;
      const size = next.share[i]!;
      const fits = size === WHOLE_DEVICE ? next.devices[i]! <= this.#whole : size <= roomiest;
      if (fits) expected += nextWeight[i]! * next.devices[i]! * size;
    }
    return expected;
  }

  #offers(model: number): ModelOffers {
    const known = this.#byModel.get(model);
    if (known) return known;
    const open = this.#mix.filter(({ shape }) => shape.devices > 0 && (shape.models === null || shape.models.has(model)));
    const made = {
      sampled: offersFor(model, this.#futures),
      next: offersFor(model, [open]),
      nextWeight: Float64Array.from(open, (entry) => entry.weight),
    };
    this.#byModel.set(model, made);
    return made;
  }

  /** 53 bits of a hash over the loaded room. Equal rooms on different nodes share one value. */
  #key(cpu: number, memory: number, model: number): number {
    let high = Math.imul(model + 1, 0x9e3779b1) ^ Math.imul(this.#whole + 1, 0x85ebca6b);
    let low = Math.imul(Math.trunc(cpu), 0xc2b2ae35) ^ Math.imul(Math.trunc(memory / 4_294_967_296) + 1, 0x165667b1);
    low = Math.imul(low ^ (low >>> 15), 0x2c1b3c6d) ^ Math.imul(memory | 0, 0x27d4eb2f);
    for (let p = 0; p < this.#partials; p++) {
      high = Math.imul(high ^ this.#partial[p]!, 0x5bd1e995);
      high ^= high >>> 13;
      low = Math.imul(low ^ this.#partial[p]! ^ (low >>> 16), 0x1b873593);
    }
    high = Math.imul(high ^ (high >>> 16) ^ low, 0x7feb352d);
    low = Math.imul(low ^ (low >>> 15) ^ (high >>> 7), 0x846ca68b);
    return ((high >>> 0) & 0x1f_ffff) * 4_294_967_296 + (low >>> 0);
  }
}

function seenBefore(free: Int32Array, d: number): boolean {
  for (let e = 0; e < d; e++) if (free[e] === free[d]) return true;
  return false;
}
