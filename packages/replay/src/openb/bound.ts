import { WHOLE_DEVICE, shapeSize } from '@muster/placement';
import type { PackingNode, Shape } from '@muster/placement';
import type { Openb, OpenbArrivals } from './trace.ts';

const ITERATIONS = 400;
/** Sizes are rounded down to this many thousandths, which can only raise the bound. */
const GRAIN = 10;
const SLOTS = WHOLE_DEVICE / GRAIN;

interface Kind {
  node: PackingNode;
  nodes: number;
}

/**
 * An upper bound on the allocated share (in %) of any policy for these arrivals, even one that may refuse, knows the
 * future and moves jobs. Lagrangian relaxation: nodes of one kind share their cpus and memory, a job of several
 * devices may be spread, but every device is filled by a real pattern of sizes. The value for any prices is a bound
 * (weak duality); the subgradient steps only look for low ones.
 */
export function allocationBound(openb: Openb, arrivals: OpenbArrivals): number {
  const kinds = kindsOf(openb.nodes);
  const counts = new Map<Shape, number>();
  for (const row of arrivals.rows) {
    const shape = openb.pods[row]!;
    if (shape.devices > 0) counts.set(shape, (counts.get(shape) ?? 0) + 1);
  }
  const dual = new Dual(kinds, [...counts.keys()], [...counts.values()]);
  const capacity = kinds.reduce((sum, kind) => sum + kind.nodes * kind.node.devices * WHOLE_DEVICE, 0);
  let best = capacity;
  for (let i = 0; i < ITERATIONS; i++) {
    best = Math.min(best, dual.evaluate());
    dual.step(0.3 / (1 + i / 20));
  }
  return (100 * best) / capacity;
}

function kindsOf(nodes: readonly PackingNode[]): Kind[] {
  const byKey = new Map<string, Kind>();
  for (const node of nodes) {
    const key = `${node.model},${node.devices},${node.cpu},${node.memory}`;
    const kind = byKey.get(key) ?? { node, nodes: 0 };
    kind.nodes++;
    byKey.set(key, kind);
  }
  return [...byKey.values()].filter((kind) => kind.node.devices > 0);
}

class Dual {
  readonly #kinds: readonly Kind[];
  readonly #shapes: readonly Shape[];
  readonly #counts: readonly number[];
  /** Price of one more job of a shape, of one cpu-milli and of one unit of memory per kind; all at least 0. */
  readonly #jobPrice: Float64Array;
  readonly #cpuPrice: Float64Array;
  readonly #memoryPrice: Float64Array;
  /** What the priced optimum uses: jobs by shape, cpu and memory by kind. */
  readonly #jobs: Float64Array;
  readonly #cpu: Float64Array;
  readonly #memory: Float64Array;

  constructor(kinds: readonly Kind[], shapes: readonly Shape[], counts: readonly number[]) {
    this.#kinds = kinds;
    this.#shapes = shapes;
    this.#counts = counts;
    this.#jobPrice = new Float64Array(shapes.length);
    this.#jobs = new Float64Array(shapes.length);
    this.#cpuPrice = new Float64Array(kinds.length);
    this.#memoryPrice = new Float64Array(kinds.length);
    this.#cpu = new Float64Array(kinds.length);
    this.#memory = new Float64Array(kinds.length);
  }

  /** The bound for the present prices, in thousandths of devices. */
  evaluate(): number {
    this.#jobs.fill(0);
    let bound = this.#counts.reduce((sum, count, s) => sum + count * this.#jobPrice[s]!, 0);
    for (const [k, { node, nodes }] of this.#kinds.entries()) {
      bound += nodes * (node.cpu * this.#cpuPrice[k]! + node.memory * this.#memoryPrice[k]!);
      bound += nodes * node.devices * this.#fillDevice(k);
    }
    return bound;
  }

  /** Raises the price of what is used beyond its supply and lowers that of what is left over, relative to supply. */
  step(size: number): void {
    for (const [s, shape] of this.#shapes.entries()) {
      const excess = (this.#jobs[s]! - this.#counts[s]!) / Math.max(this.#jobs[s]!, this.#counts[s]!);
      this.#jobPrice[s] = Math.max(0, this.#jobPrice[s]! + size * excess * shapeSize(shape) * 0.2);
    }
    for (const [k, { node, nodes }] of this.#kinds.entries()) {
      const scale = node.devices * WHOLE_DEVICE * 0.2;
      this.#cpuPrice[k] = Math.max(0, this.#cpuPrice[k]! + (size * excessOf(this.#cpu[k]!, nodes * node.cpu) * scale) / node.cpu);
      this.#memoryPrice[k] = Math.max(0, this.#memoryPrice[k]! + (size * excessOf(this.#memory[k]!, nodes * node.memory) * scale) / node.memory);
    }
  }

  /** Best value of one device of a kind at the present prices: an unbounded knapsack over its thousandths. */
  #fillDevice(k: number): number {
    const { node, nodes } = this.#kinds[k]!;
    const value = new Float64Array(SLOTS + 1);
    const last = new Int32Array(SLOTS + 1).fill(-1);
    const offers = this.#offersTo(k);
    for (let room = 1; room <= SLOTS; room++) {
      value[room] = value[room - 1]!;
      for (const [i, offer] of offers.entries()) {
        if (offer.slots > room) continue;
        const with_ = value[room - offer.slots]! + offer.value;
        if (with_ > value[room]!) {
          value[room] = with_;
          last[room] = i;
        }
      }
    }
    this.#cpu[k] = 0;
    this.#memory[k] = 0;
    const devices = nodes * node.devices;
    for (let room = SLOTS; room > 0; ) {
      const offer = offers[last[room]!];
      if (offer === undefined) {
        room--;
        continue;
      }
      const { shape, index } = offer;
      this.#jobs[index]! += devices / shape.devices;
      this.#cpu[k] = this.#cpu[k]! + (devices * shape.cpu) / shape.devices;
      this.#memory[k] = this.#memory[k]! + (devices * shape.memory) / shape.devices;
      room -= offer.slots;
    }
    return value[SLOTS]!;
  }

  /** Shapes worth having on a kind at the present prices, per device that they take. */
  #offersTo(k: number): { shape: Shape; index: number; slots: number; value: number }[] {
    const { node } = this.#kinds[k]!;
    const offers = [];
    for (const [index, shape] of this.#shapes.entries()) {
      const allowed = shape.models === null || shape.models.has(node.model);
      if (!allowed || shape.devices > node.devices || shape.cpu > node.cpu || shape.memory > node.memory) continue;
      const price = this.#jobPrice[index]! + shape.cpu * this.#cpuPrice[k]! + shape.memory * this.#memoryPrice[k]!;
      const value = (shapeSize(shape) - price) / shape.devices;
      if (value > 0) offers.push({ shape, index, slots: Math.max(1, Math.floor(shape.share / GRAIN)), value });
    }
    return offers;
  }
}

function excessOf(used: number, supply: number): number {
  return (used - supply) / Math.max(used, supply);
}
