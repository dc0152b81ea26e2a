import { WHOLE_DEVICE, isFractional } from "./shape.ts";
import type { Shape } from "./shape.ts";

export interface PackingNode {
  /** Thousandths of a core. */
  cpu: number;
  memory: number;
  devices: number;
  /** Id of the accelerator model; nodes and shapes must agree on it. */
  model: number;
}

/** What is free on every node, in flat arrays: scoring walks them without allocating. */
export class PackingNodes {
  readonly count: number;
  readonly cpuFree: Float64Array;
  readonly memoryFree: Float64Array;
  readonly model: Int32Array;
  /** Devices of node n are deviceFree[firstDevice[n] .. firstDevice[n + 1]). */
  readonly firstDevice: Int32Array;
  /** Free thousandths of each device. */
  readonly deviceFree: Int32Array;
  /** Free thousandths of a node's devices together. */
  readonly sizeFree: Int32Array;
  /** Wholly free devices of a node. */
  readonly wholeFree: Int32Array;
  readonly cpuTotal: Float64Array;
  readonly memoryTotal: Float64Array;

  constructor(nodes: readonly PackingNode[]) {
    this.count = nodes.length;
    this.cpuFree = Float64Array.from(nodes, (n) => n.cpu);
    this.cpuTotal = Float64Array.from(this.cpuFree);
    this.memoryFree = Float64Array.from(nodes, (n) => n.memory);
    this.memoryTotal = Float64Array.from(this.memoryFree);
    this.model = Int32Array.from(nodes, (n) => n.model);
    this.firstDevice = new Int32Array(nodes.length + 1);
    for (const [i, n] of nodes.entries()) this.firstDevice[i + 1] = this.firstDevice[i]! + n.devices;
    this.deviceFree = new Int32Array(this.firstDevice[nodes.length]!).fill(WHOLE_DEVICE);
    this.wholeFree = Int32Array.from(nodes, (n) => n.devices);
    this.sizeFree = Int32Array.from(nodes, (n) => n.devices * WHOLE_DEVICE);
  }

  fits(node: number, shape: Shape): boolean {
    if (this.cpuFree[node]! < shape.cpu || this.memoryFree[node]! < shape.memory) return false;
    if (shape.devices === 0) return true;
    if (shape.models !== null && !shape.models.has(this.model[node]!)) return false;
    if (!isFractional(shape)) return this.wholeFree[node]! >= shape.devices;
    if (this.wholeFree[node]! > 0) return true;
    for (let d = this.firstDevice[node]!; d < this.firstDevice[node + 1]!; d++) {
      if (this.deviceFree[d]! >= shape.share) return true;
    }
    return false;
  }

  /** Nodes that could hold the shape if they were empty. */
  reach(shape: Shape): number {
    let count = 0;
    for (let node = 0; node < this.count; node++) {
      const devices = this.firstDevice[node + 1]! - this.firstDevice[node]!;
      const allowed = shape.devices === 0 || shape.models === null || shape.models.has(this.model[node]!);
      if (allowed && devices >= shape.devices && this.cpuTotal[node]! >= shape.cpu && this.memoryTotal[node]! >= shape.memory) count++;
    }
    return count;
  }

  /**
   * Takes the shape's share of the node. A fractional shape takes `device` (an index of deviceFree), others the
   * first free ones. Returns the devices taken. Throws where they are not free.
   */
  take(node: number, shape: Shape, device: number): number[] {
    if (!this.fits(node, shape)) throw new Error(`shape ${shape.id} does not fit on node ${node}`);
    const taken: number[] = [];
    if (isFractional(shape)) {
      const owned = device >= this.firstDevice[node]! && device < this.firstDevice[node + 1]!;
      if (!owned || this.deviceFree[device]! < shape.share) throw new Error(`device ${device} of node ${node} has no ${shape.share} thousandths free`);
      taken.push(device);
    } else {
      for (let d = this.firstDevice[node]!; taken.length < shape.devices; d++) {
        if (this.deviceFree[d] === WHOLE_DEVICE) taken.push(d);
      }
    }
    this.#change(node, shape, taken, -1);
    return taken;
  }

  /** Gives back what `take` took. */
  release(node: number, shape: Shape, devices: readonly number[]): void {
    for (const d of devices) {
      if (this.deviceFree[d]! + shape.share > WHOLE_DEVICE) throw new Error(`device ${d} would hold more than it has`);
    }
    this.#change(node, shape, devices, 1);
  }

  #change(node: number, shape: Shape, devices: readonly number[], sign: 1 | -1): void {
    this.cpuFree[node]! += sign * shape.cpu;
    this.memoryFree[node]! += sign * shape.memory;
    for (const d of devices) {
      const before = this.deviceFree[d]!;
      const after = before + sign * shape.share;
      this.deviceFree[d] = after;
      this.sizeFree[node]! += after - before;
      this.wholeFree[node]! += Number(after === WHOLE_DEVICE) - Number(before === WHOLE_DEVICE);
    }
  }
}
