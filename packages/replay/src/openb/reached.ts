import { PackingNodes, WHOLE_DEVICE, defaultScorer, isFractional, shapeSize } from "@muster/placement";
import type { Shape } from "@muster/placement";
import { inflate } from "./run.ts";
import type { Openb, OpenbArrivals } from "./trace.ts";

/** Sizes are rounded up to this many thousandths, so that what is planned fits. */
const GRAIN = 10;
const SLOTS = WHOLE_DEVICE / GRAIN;

/**
 * The share (in %) that plans do allocate which, as `allocationBound` allows, know all arrivals and refuse some: whatever
 * lies below it no bound of that kind could rule out. The best of three: our policy without the jobs that ask for
 * cpus alone, the same with the large jobs first, and whole devices first with the rest filled by sets of shares.
 */
export function allocationReached(openb: Openb, arrivals: OpenbArrivals): number {
  const rows = arrivals.rows.filter((row) => openb.pods[row]!.devices > 0);
  const largeFirst = rows.slice().sort((a, b) => scarcerFirst(openb.pods[a]!, openb.pods[b]!) || a - b);
  const byPolicy = [rows, largeFirst].map((order) => inflate(openb, { ...arrivals, rows: order }, defaultScorer()).allocated);
  return Math.max(
    ...byPolicy.flatMap((allocated) => [...allocated.values()]),
    bySets(
      openb,
      [...largeFirst].map((row) => openb.pods[row]!),
    ),
  );
}

function scarcerFirst(a: Shape, b: Shape): number {
  const byModels = (a.models?.size ?? Number.MAX_SAFE_INTEGER) - (b.models?.size ?? Number.MAX_SAFE_INTEGER);
  return byModels || b.devices - a.devices || b.share - a.share || a.cpu - b.cpu || a.id - b.id;
}

/** Whole devices where cpus are scarcest, the cheapest in cpus first; then every device left is filled by shares. */
function bySets(openb: Openb, shapes: readonly Shape[]): number {
  const nodes = new PackingNodes(openb.nodes);
  let allocated = 0;
  for (const shape of shapes) {
    const node = isFractional(shape) ? -1 : poorestNode(nodes, shape);
    if (node < 0) continue;
    nodes.take(node, shape, -1);
    allocated += shapeSize(shape);
  }
  const shares = new Shares(shapes.filter(isFractional));
  for (let node = 0; node < nodes.count; node++) {
    for (let device = nodes.firstDevice[node]!; device < nodes.firstDevice[node + 1]!; device++) {
      if (nodes.deviceFree[device] === WHOLE_DEVICE) allocated += shares.putOn(nodes, node, device);
    }
  }
  return (100 * allocated) / (nodes.deviceFree.length * WHOLE_DEVICE);
}

function poorestNode(nodes: PackingNodes, shape: Shape): number {
  const coresPerDevice = (node: number): number => nodes.cpuFree[node]! / nodes.wholeFree[node]!;
  let best = -1;
  for (let node = 0; node < nodes.count; node++) {
    if (nodes.fits(node, shape) && (best < 0 || coresPerDevice(node) < coresPerDevice(best))) best = node;
  }
  return best;
}

/** Jobs that take a part of a device by size, of each size the cheapest in cpus last. */
class Shares {
  readonly #bySlots = new Map<number, Shape[]>();

  constructor(shapes: readonly Shape[]) {
    for (const shape of [...shapes].sort((a, b) => b.cpu - a.cpu || a.id - b.id)) {
      const slots = Math.ceil(shape.share / GRAIN);
      this.#bySlots.set(slots, [...(this.#bySlots.get(slots) ?? []), shape]);
    }
  }

  /** Puts the set on a device that leaves the least of it, as far as the node's cpus and memory go; gives what it takes. */
  putOn(nodes: PackingNodes, node: number, device: number): number {
    for (const slots of this.#fullest()) {
      const of = this.#bySlots.get(slots)!;
      const at = of.findLastIndex((shape) => nodes.fits(node, shape));
      if (at < 0) continue;
      nodes.take(node, of[at]!, device);
      of.splice(at, 1);
    }
    return WHOLE_DEVICE - nodes.deviceFree[device]!;
  }

  /** Of the sizes that are left, the set that fills most of a device, with large ones where there is a choice: a knapsack. */
  #fullest(): number[] {
    const last = new Int32Array(SLOTS + 1);
    last[0] = -1;
    const sizes = [...this.#bySlots].filter(([, shapes]) => shapes.length > 0).sort((a, b) => b[0] - a[0]);
    for (const [slots, shapes] of sizes) {
      for (let copy = 0; copy < Math.min(shapes.length, Math.floor(SLOTS / slots)); copy++) {
        for (let room = SLOTS; room >= slots; room--) if (last[room] === 0 && last[room - slots] !== 0) last[room] = slots;
      }
    }
    let room = SLOTS;
    while (last[room] === 0) room--;
    const set: number[] = [];
    for (; room > 0; room -= last[room]!) set.push(last[room]!);
    return set;
  }
}
