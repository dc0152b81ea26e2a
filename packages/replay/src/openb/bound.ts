import { WHOLE_DEVICE, shapeSize } from "@muster/placement";
import type { PackingNode, Shape } from "@muster/placement";
import type { Openb, OpenbArrivals } from "./trace.ts";

const ITERATIONS = 3000;
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
 * (weak duality); the subgradient steps only look for low ones. Proof: let x be any feasible plan and p, c, m >= 0 the
 * prices. Its value is at most its value less p for each of its jobs, c and m for its cpus and memory, plus what all
 * jobs, cpus and memory that there are cost at these prices, as it uses no more than these. The first part is a sum over
 * devices of what stands on each (a job of d devices counts 1/d on each of its own), which is at most the best pattern's.
 */
export function allocationBound(openb: Openb, arrivals: OpenbArrivals, iterations = ITERATIONS): number {
  const kinds = kindsOf(openb.nodes);
  const counts = new Map<Shape, number>();
  for (const row of arrivals.rows) {
    const shape = openb.pods[row]!;
    if (shape.devices > 0) counts.set(shape, (counts.get(shape) ?? 0) + 1);
  }
  const dual = new Dual(kinds, [...counts.keys()], [...counts.values()]);
  const capacity = kinds.reduce((sum, kind) => sum + kind.nodes * kind.node.devices * WHOLE_DEVICE, 0);
  let best = capacity;
  for (let i = 0; i < iterations; i++) {
    best = Math.min(best, dual.evaluate());
    dual.step(0.03 / (1 + i / 100));
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

interface Offer {
  shape: Shape;
  index: number;
  slots: number;
  value: number;
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

  /** A subgradient step: prices rise by what is used beyond the supply and fall by what is left over. */
  step(size: number): void {
    const devices = this.#kinds.reduce((sum, { node, nodes }) => sum + nodes * node.devices, 0);
    for (const s of this.#shapes.keys()) {
      const excess = (this.#jobs[s]! - this.#counts[s]!) / devices;
      this.#jobPrice[s] = Math.max(0, this.#jobPrice[s]! + size * excess * WHOLE_DEVICE);
    }
    for (const [k, { node, nodes }] of this.#kinds.entries()) {
      const worth = node.devices * WHOLE_DEVICE;
      const cpuExcess = this.#cpu[k]! / (nodes * node.cpu) - 1;
      const memoryExcess = this.#memory[k]! / (nodes * node.memory) - 1;
      this.#cpuPrice[k] = Math.max(0, this.#cpuPrice[k]! + (size * cpuExcess * worth) / node.cpu);
      this.#memoryPrice[k] = Math.max(0, this.#memoryPrice[k]! + (size * memoryExcess * worth) / node.memory);
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
    let cpu = 0;
    let memory = 0;
    const devices = nodes * node.devices;
    for (let room = SLOTS; room > 0; ) {
      const offer = offers[last[room]!];
      if (offer === undefined) {
        room--;
        continue;
      }
      const { shape, index } = offer;
      this.#jobs[index]! += devices / shape.devices;
      cpu += (devices * shape.cpu) / shape.devices;
      memory += (devices * shape.memory) / shape.devices;
      room -= offer.slots;
    }
    this.#cpu[k] = cpu;
    this.#memory[k] = memory;
    return value[SLOTS]!;
  }

  /** For each size the shape most worth having on a kind at the present prices, per device that it takes. */
  #offersTo(k: number): Offer[] {
    const { node } = this.#kinds[k]!;
    const offers = new Map<number, Offer>();
    for (const [index, shape] of this.#shapes.entries()) {
      const allowed = shape.models === null || shape.models.has(node.model);
      if (!allowed || shape.devices > node.devices || shape.cpu > node.cpu || shape.memory > node.memory) continue;
      const price = this.#jobPrice[index]! + shape.cpu * this.#cpuPrice[k]! + shape.memory * this.#memoryPrice[k]!;
      const value = (shapeSize(shape) - price) / shape.devices;
      const slots = Math.max(1, Math.floor(shape.share / GRAIN));
      if (value > (offers.get(slots)?.value ?? 0)) offers.set(slots, { shape, index, slots, value });
    }
    return [...offers.values()];
  }
}
