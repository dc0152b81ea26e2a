import type { ExpectedShape } from "./mix.ts";
import type { PackingNodes } from "./nodes.ts";
import type { NodeScorer } from "./scorer.ts";
import { isFractional } from "./shape.ts";
import type { Shape } from "./shape.ts";

/**
 * Expected idle thousandths of a node that the next arrival could not use ('Beware of Fragmentation', USENIX ATC
 * 2023): all of them for a shape that cannot run there or needs no device, else those on devices smaller than the
 * shape's share of one device. `cpu`, `whole` and `minusDevice` describe the node as it would be.
 */
export class Fragmentation {
  readonly #cpu: Float64Array;
  readonly #share: Int32Array;
  readonly #devices: Int32Array;
  readonly #weight: Float64Array;
  readonly #models: (ReadonlySet<number> | null)[];
  readonly #count: number;

  constructor(mix: readonly ExpectedShape[]) {
    this.#count = mix.length;
    this.#cpu = Float64Array.from(mix, (e) => e.shape.cpu);
    this.#share = Int32Array.from(mix, (e) => (e.shape.devices === 0 ? 0 : e.shape.share));
    this.#devices = Int32Array.from(mix, (e) => e.shape.devices);
    this.#weight = Float64Array.from(mix, (e) => e.weight);
    this.#models = mix.map((e) => e.shape.models);
  }

  /** `free` holds the free thousandths of the node's devices in free[from..to). */
  of(cpu: number, model: number, free: Int32Array, from: number, to: number): number {
    let total = 0;
    for (let d = from; d < to; d++) total += free[d]!;
    // One sum per kind of fragment, added up in this order at the end: scores are cut to steps, so the last bit counts.
    let lackBoth = 0;
    let lackDevice = 0;
    let lackCpu = 0;
    let noDevice = 0;
    let noDeviceLackCpu = 0;
    let noAccess = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = this.#weight[i]!;
      const cpuFits = cpu >= this.#cpu[i]!;
      if (this.#devices[i] === 0) {
        if (cpuFits) noDevice += weight * total;
        else noDeviceLackCpu += weight * total;
        continue;
      }
      const models = this.#models[i]!;
      if (models !== null && !models.has(model)) {
        noAccess += weight * total;
        continue;
      }
      const share = this.#share[i]!;
      let fitting = 0;
      let small = 0;
      for (let d = from; d < to; d++) {
        if (free[d]! >= share) fitting++;
        else small += free[d]!;
      }
      if (fitting >= this.#devices[i]!) {
        if (cpuFits) lackDevice += weight * small;
        else lackCpu += weight * total;
      } else if (cpuFits) lackDevice += weight * total;
      else lackBoth += weight * total;
    }
    return lackBoth + lackDevice + lackCpu + noDevice + noDeviceLackCpu + noAccess;
  }
}

const scratch = new Int32Array(64);

/**
 * FGD as published: the node and device whose expected fragmentation grows least. Its released program cuts the
 * sigmoid of the gradient to steps of 1/100 and breaks ties by a fixed node order; both decide its figures.
 */
export function fgdScorer(mix: readonly ExpectedShape[]): NodeScorer {
  const fragmentation = new Fragmentation(mix);
  let bestDevice = -1;
  function rate(nodes: PackingNodes, node: number, shape: Shape): number {
    const from = nodes.firstDevice[node]!;
    const count = nodes.firstDevice[node + 1]! - from;
    const model = nodes.model[node]!;
    const before = fragmentation.of(nodes.cpuFree[node]!, model, nodes.deviceFree, from, from + count);
    for (let d = 0; d < count; d++) scratch[d] = nodes.deviceFree[from + d]!;
    const cpu = nodes.cpuFree[node]! - shape.cpu;
    if (!isFractional(shape)) {
      let left = shape.devices;
      for (let d = 0; d < count && left > 0; d++) {
        if (scratch[d]! < shape.share) continue;
        scratch[d]! -= shape.share;
        left--;
      }
      return steps(before - fragmentation.of(cpu, model, scratch, 0, count));
    }
    let best = -1;
    bestDevice = -1;
    for (let d = 0; d < count; d++) {
      if (scratch[d]! < shape.share) continue;
      scratch[d]! -= shape.share;
      const score = steps(before - fragmentation.of(cpu, model, scratch, 0, count));
      scratch[d]! += shape.share;
      if (bestDevice < 0 || score > best) {
        best = score;
        bestDevice = from + d;
      }
    }
    return best;
  }
  return {
    score: rate,
    device(nodes, node, shape) {
      rate(nodes, node, shape);
      return bestDevice;
    },
  };
}

function steps(gradient: number): number {
  return Math.trunc(100 / (1 + Math.exp(-gradient / 1000)));
}
