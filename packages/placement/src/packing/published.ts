import type { PackingNodes } from "./nodes.ts";
import { tightestDevice } from "./scorer.ts";
import type { NodeScorer } from "./scorer.ts";
import { WHOLE_DEVICE, isFractional, shapeSize } from "./shape.ts";
import type { Shape } from "./shape.ts";

/** The largest node of the published experiments, which their scores are relative to. */
const MAX_CPU = 128_000;
const MAX_SIZE = 8 * WHOLE_DEVICE;

/** Least left over of cpu and devices, in whole percent of the largest node. */
export function bestFitScorer(): NodeScorer {
  return {
    score: (nodes, node, shape) => {
      const cpu = ((nodes.cpuFree[node]! - shape.cpu) / MAX_CPU) * 0.5;
      const size = ((nodes.sizeFree[node]! - shapeSize(shape)) / MAX_SIZE) * 0.5;
      return Math.trunc((1 - (cpu + size)) * 100);
    },
    device: tightestDevice,
  };
}

/** Tetris' alignment turned round: the smaller the product of need and free, the better. */
export function dotProductScorer(): NodeScorer {
  return {
    score: (nodes, node, shape) => {
      const cpu = (nodes.cpuFree[node]! / MAX_CPU) * (shape.cpu / MAX_CPU);
      const size = (nodes.sizeFree[node]! / MAX_SIZE) * (shapeSize(shape) / MAX_SIZE);
      return Math.trunc(100 * (1 - (cpu + size) / 2));
    },
    device: tightestDevice,
  };
}

/** First devices in shared use, then free devices of nodes in use, then empty nodes. */
export function gpuPackingScorer(): NodeScorer {
  return { score: packingScore, device: tightestDevice };
}

function packingScore(nodes: PackingNodes, node: number, shape: Shape): number {
  if (shape.devices === 0) return 0;
  const from = nodes.firstDevice[node]!;
  const to = nodes.firstDevice[node + 1]!;
  const whole = nodes.wholeFree[node]!;
  if (whole === to - from) return Math.max(33 - whole, whole);
  if (!isFractional(shape)) return Math.max(50 - shape.devices, 33);
  const free = nodes.deviceFree[tightestDevice(nodes, node, shape)]!;
  if (free === WHOLE_DEVICE) return 49;
  return Math.max(100 - Math.trunc(Math.trunc((free * 100) / WHOLE_DEVICE) / 10), 50);
}

/** Keeps members of one kind (shared, 1 device, 2 devices...) together, fuller nodes first. */
export function gpuClusteringScorer(nodeCount: number): NodeScorer {
  const kinds = Array.from({ length: nodeCount }, () => new Map<number, number>());
  return {
    score: (nodes, node, shape) => {
      if (shape.devices === 0) return 0;
      const here = kinds[node]!;
      const full = Math.trunc((25 * (MAX_SIZE - nodes.sizeFree[node]!)) / MAX_SIZE);
      if (here.has(kindOf(shape))) return full + (here.size === 1 ? 75 : 50);
      return full + (here.size === 0 ? 25 : 0);
    },
    device: tightestDevice,
    changed(node, shape, sign) {
      if (shape.devices === 0) return;
      const here = kinds[node]!;
      const count = (here.get(kindOf(shape)) ?? 0) + sign;
      if (count > 0) here.set(kindOf(shape), count);
      else here.delete(kindOf(shape));
    },
  };
}

function kindOf(shape: Shape): number {
  return isFractional(shape) ? 0 : shape.devices;
}

/** Any node that fits, any device that fits. `random` gives numbers in [0, 1). */
export function randomScorer(random: () => number): NodeScorer {
  return {
    score: () => random(),
    device(nodes, node, shape) {
      let chosen = -1;
      let fitting = 0;
      for (let d = nodes.firstDevice[node]!; d < nodes.firstDevice[node + 1]!; d++) {
        if (nodes.deviceFree[d]! >= shape.share && random() * ++fitting < 1) chosen = d;
      }
      return chosen;
    },
    // Scores are drawn anew for every arrival, or one lucky node would be taken until it is full.
    seen: () => true,
  };
}
