import type { ExpectedShape } from "./mix.ts";
import { WHOLE_DEVICE } from "./shape.ts";

/** Sampled futures of one node, and how many arrivals each of them offers to it. */
export const FUTURES = 16;
const OFFERS = 24;

/** Offers that a node with one accelerator model could take, in flat arrays: future f is [start[f], start[f + 1]). */
export interface Offers {
  start: Int32Array;
  cpu: Float64Array;
  memory: Float64Array;
  devices: Int32Array;
  share: Int32Array;
}

/**
 * Draws the futures. Every shape appears as often as the mix says (systematic sampling), dealt evenly over the
 * futures; the order within each is shuffled by a fixed seed, so that equal mixes give equal futures.
 */
export function drawFutures(mix: readonly ExpectedShape[]): ExpectedShape[][] {
  const futures: ExpectedShape[][] = Array.from({ length: FUTURES }, () => []);
  const total = mix.reduce((sum, entry) => sum + entry.weight, 0);
  const draws = FUTURES * OFFERS;
  let drawn = 0;
  let covered = 0;
  for (const entry of mix) {
    covered += entry.weight / total;
    for (; drawn < draws && (drawn + 0.5) / draws < covered; drawn++) futures[drawn % FUTURES]!.push(entry);
  }
  const random = smallRandom(1);
  for (const future of futures) {
    shuffle(future, random);
    // Small members can be steered elsewhere, wide ones cannot: a node is offered those first.
    future.sort((a, b) => b.shape.devices - a.shape.devices);
  }
  return futures;
}

export function offersFor(model: number, futures: readonly (readonly ExpectedShape[])[]): Offers {
  const open = futures.map((future) => future.filter(({ shape }) => shape.models === null || shape.devices === 0 || shape.models.has(model)));
  const start = new Int32Array(open.length + 1);
  for (const [f, future] of open.entries()) start[f + 1] = start[f]! + future.length;
  const shapes = open.flat().map((entry) => entry.shape);
  return {
    start,
    cpu: Float64Array.from(shapes, (s) => s.cpu),
    memory: Float64Array.from(shapes, (s) => s.memory),
    devices: Int32Array.from(shapes, (s) => s.devices),
    share: Int32Array.from(shapes, (s) => (s.devices === 0 ? WHOLE_DEVICE : s.share)),
  };
}

function shuffle(list: ExpectedShape[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
}

/** mulberry32: small, fast, and the same everywhere. Numbers in [0, 1). */
export function smallRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
