import { ShapeTable, shapeSize, smallRandom, typicalMix } from "@muster/placement";
import type { PackingNode, Shape } from "@muster/placement";
import type { Openb } from "./trace.ts";

const SHAPES = 40;
const ARRIVED = 1.3;

/**
 * A mix that nobody has tuned anything to: random sizes and frequencies of shapes, drawn by the seed, on the nodes
 * given, until 130 % of the devices have arrived. FGD is told the true mix.
 */
export function inventedMix(nodes: readonly PackingNode[], seed: number): Openb {
  const random = smallRandom(seed);
  const table = new ShapeTable();
  const sharing = random();
  const wide = random() * 0.3;
  const cpuOnly = random() * 0.3;
  const coresPerDevice = 4 + random() * 12;
  const weights = new Map<Shape, number>();
  while (weights.size < SHAPES) {
    const kind = random();
    const devices = kind < cpuOnly ? 0 : kind < cpuOnly + wide ? [2, 4, 8][Math.floor(random() * 3)]! : 1;
    const share = devices === 0 ? 0 : devices > 1 || random() > sharing ? 1000 : 50 * (1 + Math.floor(random() * 19));
    const size = Math.max(0.5, (devices * share) / 1000);
    const cpu = Math.round(size * coresPerDevice * (0.3 + 1.4 * random())) * 1000;
    const shape = table.intern({ cpu, memory: Math.round(cpu * (1 + 2 * random())), devices, share, models: null });
    weights.set(shape, (random() * random() + 0.01) / Math.max(devices, 1));
  }
  const total = [...weights.values()].reduce((a, b) => a + b, 0);
  const capacity = nodes.reduce((sum, node) => sum + node.devices * 1000, 0);
  const pods: Shape[] = [];
  for (let arrived = 0; arrived < ARRIVED * capacity; ) {
    let draw = random() * total;
    const shape = [...weights.keys()].find((s) => (draw -= weights.get(s)!) <= 0) ?? table.shapes[0]!;
    pods.push(shape);
    arrived += shapeSize(shape);
  }
  const bare = new Map([...weights].map(([shape, weight]) => [{ ...shape, memory: 0 }, weight]));
  const arrivals = [{ seed, rows: Int32Array.from(pods, (_, i) => i), ranks: Int32Array.from(nodes, (_, i) => i) }];
  return { nodes: [...nodes], pods, arrivals, typical: typicalMix(bare, 0.95) };
}
