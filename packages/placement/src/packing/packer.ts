import type { PackingNodes } from "./nodes.ts";
import type { NodeScorer } from "./scorer.ts";
import { isFractional } from "./shape.ts";
import type { Shape } from "./shape.ts";
import { WinnerTree } from "./winner-tree.ts";

export interface Packed {
  node: number;
  /** Indexes of deviceFree. */
  devices: number[];
}

interface ShapeScores {
  tree: WinnerTree;
  /** How far into the change log these scores have been brought up to date. */
  logPosition: number;
}

/**
 * Chooses nodes for shapes, one at a time. Scores are kept per shape and made again only for nodes that changed
 * since that shape was last asked for, so a choice costs what changed and not the size of the cluster.
 */
export class Packer {
  readonly nodes: PackingNodes;
  readonly #scorer: NodeScorer;
  /** Rank of each node: the lowest wins a tie. */
  readonly #position: Int32Array;
  readonly #nodeAt: Int32Array;
  #scores = new Map<number, ShapeScores>();
  #log: number[] = [];
  #logStart = 0;
  readonly #stamp: Int32Array;
  #stampNow = 0;

  constructor(nodes: PackingNodes, scorer: NodeScorer, ranks?: Int32Array) {
    this.nodes = nodes;
    this.#scorer = scorer;
    const order = Int32Array.from({ length: nodes.count }, (_, i) => i);
    if (ranks) order.sort((a, b) => ranks[a]! - ranks[b]!);
    this.#nodeAt = order;
    this.#position = new Int32Array(nodes.count);
    for (let p = 0; p < nodes.count; p++) this.#position[order[p]!] = p;
    this.#stamp = new Int32Array(nodes.count);
  }

  /** Tells the scorer that such a shape was submitted; a scorer that learns the expected mix needs it. */
  observe(shape: Shape): void {
    if (this.#scorer.seen?.(shape, this.nodes)) this.#scores.clear();
  }

  /** The best node for the shape, or -1 where it fits nowhere. */
  choose(shape: Shape): number {
    const scores = this.#fresh(shape);
    const position = scores.tree.best();
    return position < 0 ? -1 : this.#nodeAt[position]!;
  }

  /** Chooses and takes; null where it fits nowhere. */
  place(shape: Shape): Packed | null {
    const node = this.choose(shape);
    if (node < 0) return null;
    const device = isFractional(shape) ? this.#scorer.device(this.nodes, node, shape) : -1;
    const devices = this.nodes.take(node, shape, device);
    this.#scorer.changed?.(node, shape, 1);
    this.touched(node);
    return { node, devices };
  }

  release(shape: Shape, packed: Packed): void {
    this.nodes.release(packed.node, shape, packed.devices);
    this.#scorer.changed?.(packed.node, shape, -1);
    this.touched(packed.node);
  }

  /** Says that a node's free resources changed outside place and release. */
  touched(node: number): void {
    this.#log.push(node);
    if (this.#log.length > 4 * this.nodes.count + 1024) this.#trimLog();
  }

  #fresh(shape: Shape): ShapeScores {
    let scores = this.#scores.get(shape.id);
    const logEnd = this.#logStart + this.#log.length;
    if (!scores || scores.logPosition < this.#logStart) {
      scores ??= { tree: new WinnerTree(this.nodes.count), logPosition: logEnd };
      for (let p = 0; p < this.nodes.count; p++) scores.tree.keys[p] = this.#key(this.#nodeAt[p]!, shape);
      scores.tree.rebuild();
      this.#scores.set(shape.id, scores);
    } else if (scores.logPosition < logEnd) {
      this.#stampNow++;
      for (let i = scores.logPosition - this.#logStart; i < this.#log.length; i++) {
        const node = this.#log[i]!;
        if (this.#stamp[node] === this.#stampNow) continue;
        this.#stamp[node] = this.#stampNow;
        scores.tree.update(this.#position[node]!, this.#key(node, shape));
      }
    }
    scores.logPosition = logEnd;
    return scores;
  }

  #key(node: number, shape: Shape): number {
    return this.nodes.fits(node, shape) ? this.#scorer.score(this.nodes, node, shape) : Number.NEGATIVE_INFINITY;
  }

  /** Forgets the older half of the log; shapes not asked for since then are scored anew. */
  #trimLog(): void {
    const drop = this.#log.length >> 1;
    this.#log.splice(0, drop);
    this.#logStart += drop;
  }
}
