import { Fragmentation, Packer, PackingNodes, WHOLE_DEVICE, shapeSize } from "@muster/placement";
import type { NodeScorer } from "@muster/placement";
import type { Openb, OpenbArrivals } from "./trace.ts";

export interface InflationResult {
  /** Allocated share of all devices in %, by whole arrived %. */
  allocated: Map<number, number>;
  /** Expected fragmentation in % of all devices, by whole arrived % (each tenth). */
  fragmented: Map<number, number>;
  failed: number;
  placed: number;
}

/**
 * The inflation protocol of FGD's evaluation: an empty cluster, arrivals only, one offer each. The value at an
 * arrived percentage is the mean over the arrivals that round to it.
 */
export function inflate(openb: Openb, arrivals: OpenbArrivals, scorer: NodeScorer): InflationResult {
  const nodes = new PackingNodes(openb.nodes);
  const packer = new Packer(nodes, scorer, arrivals.ranks);
  const capacity = nodes.deviceFree.length * WHOLE_DEVICE;
  const fragmented = new Map<number, number>();
  let arrived = 0;
  let allocated = 0;
  let failed = 0;
  const sums = new Map<number, { sum: number; count: number }>();
  for (const row of arrivals.rows) {
    const shape = openb.pods[row]!;
    packer.observe(shape);
    arrived += shapeSize(shape);
    if (packer.place(shape)) allocated += shapeSize(shape);
    else failed++;
    const percent = Math.round((100 * arrived) / capacity);
    if (percent % 10 === 0 && !fragmented.has(percent)) fragmented.set(percent, (100 * fragmentationOf(nodes, openb)) / capacity);
    const at = sums.get(percent) ?? { sum: 0, count: 0 };
    at.sum += (100 * allocated) / capacity;
    at.count++;
    sums.set(percent, at);
  }
  const byPercent = new Map([...sums].map(([percent, { sum, count }]) => [percent, sum / count]));
  return { allocated: byPercent, fragmented, failed, placed: arrivals.rows.length - failed };
}

function fragmentationOf(nodes: PackingNodes, openb: Openb): number {
  const fragmentation = new Fragmentation(openb.typical);
  let sum = 0;
  for (let n = 0; n < nodes.count; n++) {
    sum += fragmentation.of(nodes.cpuFree[n]!, nodes.model[n]!, nodes.deviceFree, nodes.firstDevice[n]!, nodes.firstDevice[n + 1]!);
  }
  return sum;
}
