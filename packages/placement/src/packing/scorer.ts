import type { PackingNodes } from "./nodes.ts";
import type { Shape } from "./shape.ts";

/** Rates a shape on a node that it fits on. Pure but for what it is told by `changed` and `seen`. */
export interface NodeScorer {
  /** Higher is better. Called only where the shape fits; must depend on that node alone. */
  score(nodes: PackingNodes, node: number, shape: Shape): number;
  /** Which device (index of deviceFree) takes a fractional shape. */
  device(nodes: PackingNodes, node: number, shape: Shape): number;
  /** Told after a shape was placed on (1) or has left (-1) a node. */
  changed?(node: number, shape: Shape, sign: 1 | -1): void;
  /** Told of every shape that arrives, before it is scored. True: every earlier score is out of date. */
  seen?(shape: Shape, nodes: PackingNodes): boolean;
}

/** The tightest device that a fractional shape fits on; the lowest index wins a tie. */
export function tightestDevice(nodes: PackingNodes, node: number, shape: Shape): number {
  let best = -1;
  for (let d = nodes.firstDevice[node]!; d < nodes.firstDevice[node + 1]!; d++) {
    const free = nodes.deviceFree[d]!;
    if (free >= shape.share && (best < 0 || free < nodes.deviceFree[best]!)) best = d;
  }
  return best;
}
