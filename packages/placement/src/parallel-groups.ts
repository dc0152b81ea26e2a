import type { ShapeCounts } from "./counts.ts";
import { placeGang, type GangAsk, type Layer } from "./gang.ts";
import type { ParallelismInput } from "./job-input.ts";
import type { NodeTable } from "./nodes.ts";
import { meetingLevel, type Partition } from "./partition.ts";
import type { ResolvedRole } from "./request.ts";

type Kind = "tp" | "cp" | "ep" | "dp" | "pp";

const DEFAULT_ORDER: readonly Kind[] = ["tp", "cp", "ep", "dp", "pp"];

/**
 * Bytes that one rank sends in a training step, relative to a pipeline boundary. From the volumes in Narayanan et al.,
 * "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM" (2021, section 3): with
 * b*s*h activations in a micro-batch, tensor parallelism moves 8 b*s*h in each layer, a pipeline boundary 2 b*s*h in
 * all, so 32 to 1 at eight layers in a stage; data parallelism moves the gradients once a step, a twentieth of the
 * tensor traffic at 16 micro-batches of 4,096 tokens and h = 8,192. Experts exchange tokens four times in a layer
 * (dispatch and combine, forward and backward), with eight experts a token and activations split eight ways 4 b*s*h.
 * Context parallelism passes keys and values around, a quarter of the tensor traffic where heads share them.
 */
const WEIGHT: Readonly<Record<Kind, number>> = { tp: 32, ep: 16, cp: 8, dp: 2, pp: 1 };

/** Ranks `base + i * stride`, `size` of them, are one group. */
interface Dimension {
  kind: Kind;
  size: number;
  stride: number;
}

/** Checks sizes and order. Throws an Error whose message begins with the field. */
export function checkParallelism(input: ParallelismInput): void {
  for (const kind of DEFAULT_ORDER) {
    const size = input[kind];
    if (size !== undefined && !(Number.isSafeInteger(size) && size >= 1)) throw new Error(`parallelism.${kind}: must be a whole number of ranks`);
  }
  const order = input.order?.split("-") ?? [];
  if (new Set(order).size < order.length || order.some((name) => !(DEFAULT_ORDER as readonly string[]).includes(name))) {
    throw new Error(`parallelism.order: names of ${DEFAULT_ORDER.join(", ")}, each once, joined by "-"; not "${input.order}"`);
  }
}

/** Every name, innermost first; those not given stand where they do by default, outside of those given. */
function orderOf(input: ParallelismInput): Kind[] {
  const given = (input.order?.split("-") ?? []) as Kind[];
  return [...given, ...DEFAULT_ORDER.filter((kind) => !given.includes(kind))];
}

/**
 * The groups of more than one rank. Data parallelism takes what the others leave. Experts divide the same ranks anew,
 * within a pipeline stage where they fit into one, as Megatron-LM does. Empty where the sizes do not divide the ranks.
 */
export function dimensionsOf(input: ParallelismInput, ranks: number): Dimension[] {
  const { tp = 1, cp = 1, pp = 1, ep = 1 } = input;
  const order = orderOf(input);
  if (ranks % (tp * cp * pp) !== 0) return [];
  const stages = ranks % (ep * pp) === 0 ? pp : 1;
  const strides = (sizes: Partial<Record<Kind, number>>): Dimension[] => {
    let stride = 1;
    return order.flatMap((kind) => {
      const size = sizes[kind];
      if (size === undefined) return [];
      const dimension = { kind, size, stride };
      stride *= size;
      return [dimension];
    });
  };
  const dense = strides({ tp, cp, pp, dp: ranks / (tp * cp * pp) });
  const experts = ranks % ep === 0 ? strides({ ep, pp: stages, dp: ranks / (ep * stages) }).filter(({ kind }) => kind === "ep") : [];
  return [...dense, ...experts].filter(({ size }) => size > 1);
}

function ranksOf(role: ResolvedRole, members: number): number {
  return members * Math.max(1, role.shape.devices);
}

/**
 * Levels of the fabric that the role's traffic climbs, weighted by volume, summed over the ranks of its members at
 * these positions: rings for tensor, context and data parallelism, all to all among experts, a chain of stages. Null
 * where nothing is known of its groups.
 */
export function groupTraffic(partition: Partition, role: ResolvedRole, positions: readonly number[]): number | null {
  if (role.parallelism === null) return null;
  const perMember = Math.max(1, role.shape.devices);
  const ranks = ranksOf(role, positions.length);
  const dimensions = dimensionsOf(role.parallelism, ranks);
  if (dimensions.length === 0) return null;
  const at = (rank: number): number => positions[Math.floor(rank / perMember)]!;
  let cost = 0;
  let volume = 0;
  for (const { kind, size, stride } of dimensions) {
    // A ring passes on all but its own part.
    const each = kind === "pp" ? WEIGHT.pp : (WEIGHT[kind] * (size - 1)) / size;
    volume += each;
    let climbed = 0;
    for (let outer = 0; outer < ranks; outer += size * stride) {
      for (let first = outer; first < outer + stride; first++) {
        if (kind === "ep") {
          climbed += allToAll(
            partition,
            Array.from({ length: size }, (_, i) => at(first + i * stride)),
          );
          continue;
        }
        const links = kind === "pp" ? size - 1 : size;
        for (let i = 0; i < links; i++) climbed += meetingLevel(partition, at(first + i * stride), at(first + ((i + 1) % size) * stride));
      }
    }
    cost += each * climbed;
  }
  return cost / volume;
}

/** Levels climbed when each sends one part to every other, over all of them: pairs apart at a level, level by level. */
function allToAll(partition: Partition, positions: number[]): number {
  const n = positions.length;
  let blocks = positions;
  let climbed = 0;
  for (const { parent } of partition.levels) {
    const sizes = new Map<number, number>();
    for (const block of blocks) sizes.set(block, (sizes.get(block) ?? 0) + 1);
    if (sizes.size === 1) break;
    let together = 0;
    for (const size of sizes.values()) together += size * size;
    climbed += (n * n - together) / (n - 1);
    blocks = blocks.map((block) => parent[block]!);
  }
  return climbed;
}

/** The role's own layers, and its groups of consecutive ranks from whole nodes up as preferred ones where they nest. */
function layersWithGroups(role: ResolvedRole, members: number): readonly Layer[] {
  const ranks = ranksOf(role, members);
  const perMember = ranks / members;
  const sizes = new Set<number>();
  for (const { kind, size, stride } of dimensionsOf(role.parallelism!, ranks)) {
    // The span of a group: with it, all that lies further in is together as well.
    const span = (size * stride) / perMember;
    if (kind !== "pp" && Number.isInteger(span) && span > 1 && span < members) sizes.add(span);
  }
  const layers = [...role.layers];
  for (const size of [...sizes].sort((a, b) => a - b)) {
    const nests = layers.every((layer) => layer.size !== size && (layer.size % size === 0 || size % layer.size === 0));
    if (nests && members % size === 0) layers.push({ size, level: 1, required: false });
  }
  return layers.sort((a, b) => a.size - b.size || a.level - b.level);
}

/** Places a role's gang, by its parallel groups where these are known and keeping them together saves traffic. */
export function placeByGroups(counts: ShapeCounts, nodes: NodeTable, role: ResolvedRole, ask: Omit<GangAsk, "layers">): number[] | null {
  const plain = placeGang(counts, nodes, { ...ask, layers: role.layers });
  if (plain === null || role.parallelism === null || ask.members === 1) return plain;
  const layers = layersWithGroups(role, ask.members);
  if (layers.length === role.layers.length) return plain;
  const grouped = placeGang(counts, nodes, { ...ask, layers });
  if (grouped === null) return plain;
  const cost = (slots: readonly number[]): number =>
    groupTraffic(
      counts.partition,
      role,
      slots.map((slot) => nodes.position[slot]!),
    ) ?? 0;
  return cost(grouped) < cost(plain) ? grouped : plain;
}
