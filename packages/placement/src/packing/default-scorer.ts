import { ArrivalMix } from "./arrival-mix.ts";
import { ExpectedUse, emptyRoom } from "./expected-use.ts";
import type { NodeRoom } from "./expected-use.ts";
import type { ExpectedShape } from "./mix.ts";
import type { PackingNodes } from "./nodes.ts";
import type { NodeScorer } from "./scorer.ts";
import type { Shape } from "./shape.ts";

/** Thousandths of a device that one device's worth of room left over weighs: among near-equals the fuller node wins, so that whole nodes stay free. */
const LEFTOVER_WEIGHT = 5;
/** Cores that go with one device in that comparison. */
const CPU_PER_DEVICE = 16;

/** Muster's own packing: the node where the shape takes the least expected use; the fuller node among equals. */
export function defaultScorer(): NodeScorer {
  const mix = new ArrivalMix();
  const room = emptyRoom();
  const choice = { device: -1 };
  let use = new ExpectedUse([]);
  return {
    score(nodes, node, shape) {
      loadRoom(room, nodes, node);
      return -use.loss(room, shape, choice) - leftOver(nodes, node, shape);
    },
    device(nodes, node, shape) {
      loadRoom(room, nodes, node);
      use.loss(room, shape, choice);
      return nodes.firstDevice[node]! + choice.device;
    },
    seen(shape, nodes) {
      if (!mix.observe(shape)) return false;
      use = new ExpectedUse(perNode(mix.current, nodes));
      return true;
    },
  };
}

/** What a node is to expect of a shape that few nodes can hold: the same arrivals, shared by fewer. */
function perNode(mix: readonly ExpectedShape[], nodes: PackingNodes): ExpectedShape[] {
  return mix.map(({ shape, weight }) => ({ shape, weight: (weight * nodes.count) / Math.max(nodes.reach(shape), 1) }));
}

function loadRoom(room: NodeRoom, nodes: PackingNodes, node: number): void {
  const from = nodes.firstDevice[node]!;
  room.cpu = nodes.cpuFree[node]!;
  room.memory = nodes.memoryFree[node]!;
  room.model = nodes.model[node]!;
  room.devices = nodes.firstDevice[node + 1]! - from;
  for (let d = 0; d < room.devices; d++) room.free[d] = nodes.deviceFree[from + d]!;
}

function leftOver(nodes: PackingNodes, node: number, shape: Shape): number {
  const devices = (nodes.sizeFree[node]! - shape.devices * shape.share) / 1000;
  const cores = (nodes.cpuFree[node]! - shape.cpu) / 1000;
  return LEFTOVER_WEIGHT * (devices + cores / CPU_PER_DEVICE);
}
