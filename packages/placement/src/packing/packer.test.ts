import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultScorer } from "./default-scorer.ts";
import { fgdScorer } from "./fragmentation.ts";
import { typicalMix } from "./mix.ts";
import { PackingNodes } from "./nodes.ts";
import type { PackingNode } from "./nodes.ts";
import { smallRandom } from "./offers.ts";
import { Packer } from "./packer.ts";
import type { Packed } from "./packer.ts";
import { bestFitScorer, dotProductScorer, gpuClusteringScorer, gpuPackingScorer, randomScorer } from "./published.ts";
import type { NodeScorer } from "./scorer.ts";
import { ShapeTable, shapeSize } from "./shape.ts";
import type { Shape } from "./shape.ts";

const table = new ShapeTable();
const SHAPES = [
  { cpu: 3000, memory: 4, devices: 1, share: 810, models: null },
  { cpu: 11_000, memory: 8, devices: 1, share: 1000, models: null },
  { cpu: 8000, memory: 8, devices: 1, share: 470, models: null },
  { cpu: 2000, memory: 4, devices: 1, share: 190, models: null },
  { cpu: 32_000, memory: 16, devices: 0, share: 0, models: null },
  { cpu: 40_000, memory: 32, devices: 4, share: 1000, models: new Set([0]) },
].map((need) => table.intern(need));
const MIX = typicalMix(new Map(SHAPES.map((shape, i) => [shape, 10 - i])), 1);

function cluster(): PackingNode[] {
  return Array.from({ length: 12 }, (_, i) =>
    i % 3 === 0 ? { cpu: 96_000, memory: 256, devices: 2, model: 1 } : { cpu: 96_000, memory: 256, devices: 8, model: 0 },
  );
}

const SCORERS: Record<string, () => NodeScorer> = {
  BestFit: bestFitScorer,
  DotProd: dotProductScorer,
  GpuPacking: gpuPackingScorer,
  GpuClustering: () => gpuClusteringScorer(12),
  FGD: () => fgdScorer(MIX),
  Random: () => randomScorer(smallRandom(3)),
  Default: defaultScorer,
};

describe.each(Object.entries(SCORERS))("Packer with %s", (_name, make) => {
  it("turns a shape away only where it fits nowhere, and takes just what it says", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(SHAPES.length - 1), { minLength: 1, maxLength: 150 }), (arrivals) => {
        const packer = new Packer(new PackingNodes(cluster()), make());
        let held = 0;
        for (const arrival of arrivals) {
          const shape = SHAPES[arrival]!;
          packer.observe(shape);
          const fitted = Array.from({ length: 12 }, (_, n) => packer.nodes.fits(n, shape)).some(Boolean);
          const packed = packer.place(shape);
          expect(packed !== null).toBe(fitted);
          if (packed) held += shapeSize(shape);
        }
        const free = packer.nodes.sizeFree.reduce((a, b) => a + b, 0);
        expect(free).toBe(packer.nodes.deviceFree.length * 1000 - held);
      }),
      { numRuns: 30 },
    );
  });
});

/** The same choices without any kept score: a new packer for every choice. */
function chosenAnew(nodes: PackingNodes, scorer: NodeScorer, shape: Shape): number {
  return new Packer(nodes, scorer).choose(shape);
}

describe("kept scores", () => {
  it.each(["BestFit", "GpuPacking", "FGD"])("give the choice that scoring every node anew gives (%s)", (name) => {
    fc.assert(
      fc.property(fc.array(fc.record({ shape: fc.nat(SHAPES.length - 1), leaves: fc.nat(5) }), { maxLength: 120 }), (steps) => {
        const scorer = SCORERS[name]!();
        const packer = new Packer(new PackingNodes(cluster()), scorer);
        const held: { shape: Shape; packed: Packed }[] = [];
        for (const step of steps) {
          const shape = SHAPES[step.shape]!;
          expect(packer.choose(shape)).toBe(chosenAnew(packer.nodes, scorer, shape));
          const packed = packer.place(shape);
          if (packed) held.push({ shape, packed });
          const gone = step.leaves === 0 ? held.shift() : undefined;
          if (gone) packer.release(gone.shape, gone.packed);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("are made again for all nodes once the log of changes has been cut", () => {
    const packer = new Packer(new PackingNodes(cluster()), bestFitScorer());
    const shape = SHAPES[3]!;
    packer.choose(shape);
    for (let i = 0; i < 3000; i++) packer.release(SHAPES[2]!, packer.place(SHAPES[2]!)!);
    expect(packer.choose(shape)).toBe(chosenAnew(packer.nodes, bestFitScorer(), shape));
  });
});

describe("default policy", () => {
  it("fills a device with a fitting rest rather than opening a free one", () => {
    const packer = new Packer(new PackingNodes([{ cpu: 96_000, memory: 256, devices: 2, model: 0 }]), defaultScorer());
    for (let i = 0; i < 40; i++) packer.observe(SHAPES[i % 4]!);
    const first = packer.place(SHAPES[0]!)!;
    const second = packer.place(SHAPES[3]!)!;
    expect(second.devices).toEqual(first.devices);
  });

  it("keeps a whole node for large jobs that are expected", () => {
    const wide = table.intern({ cpu: 8000, memory: 8, devices: 4, share: 1000, models: null });
    const single = table.intern({ cpu: 2000, memory: 2, devices: 1, share: 1000, models: null });
    const nodes = [0, 1].map(() => ({ cpu: 64_000, memory: 256, devices: 4, model: 0 }));
    const packer = new Packer(new PackingNodes(nodes), defaultScorer());
    for (let i = 0; i < 64; i++) packer.observe(i % 4 === 0 ? wide : single);
    const taken = [single, single, single].map((shape) => packer.place(shape)!.node);
    expect(new Set(taken).size).toBe(1);
    expect(packer.place(wide)).not.toBeNull();
  });

  it("leaves the few nodes that alone can hold a rare large job to it", () => {
    const large = table.intern({ cpu: 120_000, memory: 8, devices: 8, share: 1000, models: null });
    const hungry = table.intern({ cpu: 16_000, memory: 2, devices: 1, share: 1000, models: null });
    const nodes = Array.from({ length: 20 }, (_, i) => ({ cpu: i === 7 ? 128_000 : 96_000, memory: 256, devices: 8, model: 0 }));
    const packer = new Packer(new PackingNodes(nodes), defaultScorer());
    for (let i = 0; i < 64; i++) packer.observe(i === 5 ? large : hungry);
    for (let i = 0; i < 90; i++) expect(packer.place(hungry)!.node).not.toBe(7);
    expect(packer.place(large)!.node).toBe(7);
  });

  it("is the same for the same submissions", () => {
    const run = (): (Packed | null)[] => {
      const packer = new Packer(new PackingNodes(cluster()), defaultScorer());
      const random = smallRandom(7);
      return Array.from({ length: 200 }, () => {
        const shape = SHAPES[Math.floor(random() * SHAPES.length)]!;
        packer.observe(shape);
        return packer.place(shape);
      });
    };
    expect(run()).toEqual(run());
  });
});
