import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ArrivalMix } from "./arrival-mix.ts";
import { ExpectedUse, emptyRoom } from "./expected-use.ts";
import { Fragmentation } from "./fragmentation.ts";
import { ShapeTable } from "./shape.ts";
import { WinnerTree } from "./winner-tree.ts";

const table = new ShapeTable();
const half = table.intern({ cpu: 1000, memory: 1, devices: 1, share: 500, models: null });
const whole = table.intern({ cpu: 4000, memory: 1, devices: 1, share: 1000, models: null });
const cpuOnly = table.intern({ cpu: 2000, memory: 1, devices: 0, share: 0, models: null });
const pair = table.intern({ cpu: 4000, memory: 1, devices: 2, share: 1000, models: new Set([1]) });
const MIX = [half, whole, cpuOnly, pair].map((shape) => ({ shape, weight: 0.25 }));

function room(cpu: number, free: number[], model = 1) {
  const made = emptyRoom();
  made.cpu = cpu;
  made.memory = 100;
  made.model = model;
  made.devices = free.length;
  made.free.set(free);
  return made;
}

describe("ExpectedUse", () => {
  it("is never below 0 nor above what one more arrival adds to the free devices", () => {
    const use = new ExpectedUse(MIX);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 100, 500, 1000), { maxLength: 8 }), fc.nat(64_000), (free, cpu) => {
        const total = free.reduce<number>((a, b) => a + b, 0);
        const value = use.value(room(cpu, free));
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(2 * total);
      }),
    );
  });

  it("is 0 where no shape of the mix fits, and does not depend on the order of devices", () => {
    const use = new ExpectedUse(MIX);
    expect(use.value(room(500, [1000, 1000]))).toBe(0);
    expect(use.value(room(64_000, [400, 300]))).toBe(0);
    expect(use.value(room(20_000, [1000, 500, 0]))).toBe(use.value(room(20_000, [0, 1000, 500])));
  });

  it("counts a model that a shape cannot run on as no use to it", () => {
    const use = new ExpectedUse([{ shape: pair, weight: 1 }]);
    expect(use.value(room(64_000, [1000, 1000], 0))).toBe(0);
    expect(use.value(room(64_000, [1000, 1000], 1))).toBeGreaterThan(0);
  });

  it("loses nothing where a device is filled that nothing else could use", () => {
    const use = new ExpectedUse([{ shape: whole, weight: 1 }]);
    const out = { device: -1 };
    expect(use.loss(room(64_000, [500, 1000]), { ...half, cpu: 0 }, out)).toBe(0);
    expect(out.device).toBe(0);
  });
});

describe("Fragmentation", () => {
  it("counts all that is idle where the shape cannot run, else the devices too small for it", () => {
    const of = (shape: typeof half, cpu: number, free: number[], model = 1): number =>
      new Fragmentation([{ shape, weight: 1 }]).of(cpu, model, Int32Array.from(free), 0, free.length);
    expect(of(half, 8000, [400, 1000])).toBe(400);
    expect(of(half, 500, [400, 1000])).toBe(1400);
    expect(of(whole, 8000, [400, 900])).toBe(1300);
    expect(of(pair, 8000, [1000, 1000], 0)).toBe(2000);
    expect(of(cpuOnly, 8000, [1000])).toBe(1000);
  });
});

describe("ArrivalMix", () => {
  it("adds up to one, most frequent first, and follows what is submitted lately", () => {
    const mix = new ArrivalMix();
    for (let i = 0; i < 300; i++) mix.observe(i % 3 === 0 ? whole : half);
    expect(mix.current.map((entry) => entry.shape)).toEqual([half, whole]);
    expect(mix.current.reduce((sum, entry) => sum + entry.weight, 0)).toBeCloseTo(1, 9);
    for (let i = 0; i < 60_000; i++) mix.observe(pair);
    expect(mix.current[0]!.shape).toBe(pair);
    expect(mix.current[0]!.weight).toBeGreaterThan(0.9);
  });
});

describe("WinnerTree", () => {
  it("names the best key after any updates, the lowest position among equals", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.array(fc.tuple(fc.nat(39), fc.integer({ min: -3, max: 3 })), { maxLength: 60 }), (count, updates) => {
        const tree = new WinnerTree(count);
        tree.rebuild();
        expect(tree.best()).toBe(-1);
        const keys = Array.from({ length: count }, () => Number.NEGATIVE_INFINITY);
        for (const [at, key] of updates) {
          const position = at % count;
          keys[position] = key === -3 ? Number.NEGATIVE_INFINITY : key;
          tree.update(position, keys[position]);
          const best = Math.max(...keys);
          expect(tree.best()).toBe(best === Number.NEGATIVE_INFINITY ? -1 : keys.indexOf(best));
        }
      }),
    );
  });
});
