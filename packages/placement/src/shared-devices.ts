import type { Shape as MemberShape } from "./counts.ts";
import { WHOLE, type NodeTable } from "./nodes.ts";
import { defaultScorer, Packer, PackingNodes, ShapeTable, type Shape } from "./packing/index.ts";
import type { Partition } from "./partition.ts";

/** Submissions kept until the next choice: as many as describe a mix. */
const REMEMBERED = 4096;

/**
 * Chooses nodes and devices for single members in a partition where devices are shared: where the least expected use
 * of the node's room is lost, given the mix of what is submitted there. It begins to learn with the first job that
 * asks for a share; until then it costs nothing and chooses nothing.
 */
export class SharedDevices {
  readonly #partition: Partition;
  readonly #table = new ShapeTable();
  readonly #scorer = defaultScorer();
  #learning = false;
  #unseen: MemberShape[] = [];
  #packer: Packer | null = null;
  #layout = -1;
  #seen = -1;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** Whether any job asked for a share. */
  get inUse(): boolean {
    return this.#learning;
  }

  /** Told of every submission of a single member that may come here. */
  observe(shape: MemberShape): void {
    if (shape.share > 0) this.#learning = true;
    if (!this.#learning) return;
    this.#unseen.push(shape);
    if (this.#unseen.length > 2 * REMEMBERED) this.#unseen = this.#unseen.slice(-REMEMBERED);
  }

  /** The node slot for one member, and for a share its device; null where it has nothing to say or no room. */
  choose(nodes: NodeTable, member: MemberShape): { slot: number; device: number } | null {
    if (!this.#learning || member.devices + member.share === 0) return null;
    const shape = this.#shapeOf(member);
    const packer = this.#fresh(nodes);
    for (const seen of this.#unseen) packer.observe(this.#shapeOf(seen));
    this.#unseen = [];
    const position = packer.choose(shape);
    if (position < 0) return null;
    const device = member.share > 0 ? this.#scorer.device(packer.nodes, position, shape) - packer.nodes.firstDevice[position]! : -1;
    return { slot: this.#partition.nodeAt[position]!, device };
  }

  #shapeOf({ devices, share, cpuMillis, memoryBytes }: MemberShape): Shape {
    return this.#table.intern({
      cpu: cpuMillis,
      memory: memoryBytes,
      devices: share > 0 ? 1 : devices,
      share: share > 0 ? share : WHOLE,
      models: null,
    });
  }

  /** The packer's own view of the nodes, brought up to date. */
  #fresh(nodes: NodeTable): Packer {
    const { nodeAt, layoutVersion, index } = this.#partition;
    let packer = this.#packer;
    if (packer !== null && this.#layout === layoutVersion) {
      const view = packer;
      const replayed = nodes.changedSince(this.#seen, (slot) => {
        if (nodes.partition[slot] !== index) return;
        const position = nodes.position[slot]!;
        copyRoom(nodes, slot, view.nodes, position);
        view.touched(position);
      });
      if (replayed) {
        this.#seen = nodes.changes;
        return packer;
      }
    }
    const view = new PackingNodes(
      Array.from(nodeAt, (slot) => ({
        cpu: nodes.cpu[slot]!,
        memory: nodes.memory[slot]!,
        devices: nodes.deviceCount[slot]!,
        model: 0,
      })),
    );
    for (const [position, slot] of nodeAt.entries()) copyRoom(nodes, slot, view, position);
    packer = new Packer(view, this.#scorer);
    this.#packer = packer;
    this.#layout = layoutVersion;
    this.#seen = nodes.changes;
    return packer;
  }
}

function copyRoom(nodes: NodeTable, slot: number, view: PackingNodes, position: number): void {
  // Less than nothing of everything: no shape fits on a node that is out of service.
  const open = nodes.schedulable[slot] === 1;
  view.cpuFree[position] = open ? nodes.cpuFree[slot]! : -1;
  view.memoryFree[position] = open ? nodes.memoryFree[slot]! : -1;
  const from = view.firstDevice[position]!;
  const start = nodes.deviceStart[slot]!;
  let size = 0;
  let whole = 0;
  for (let d = 0; from + d < view.firstDevice[position + 1]!; d++) {
    const free = Math.max(0, WHOLE - nodes.held[start + d]!);
    view.deviceFree[from + d] = free;
    size += free;
    if (free === WHOLE) whole++;
  }
  view.sizeFree[position] = size;
  view.wholeFree[position] = whole;
}
