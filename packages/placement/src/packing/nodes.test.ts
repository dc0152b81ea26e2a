import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PackingNodes } from "./nodes.ts";
import { ShapeTable, isFractional } from "./shape.ts";
import { tightestDevice } from "./scorer.ts";

const table = new ShapeTable();
const shapes = [
  { cpu: 1000, memory: 10, devices: 0, share: 0, models: null },
  { cpu: 2000, memory: 10, devices: 1, share: 250, models: null },
  { cpu: 2000, memory: 10, devices: 1, share: 600, models: new Set([1]) },
  { cpu: 4000, memory: 20, devices: 1, share: 1000, models: null },
  { cpu: 4000, memory: 20, devices: 4, share: 1000, models: new Set([0]) },
].map((need) => table.intern(need));

describe("PackingNodes", () => {
  it("keeps its sums right and never hands out more than there is, whatever comes and goes", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ node: fc.nat(2), shape: fc.nat(shapes.length - 1), leaves: fc.boolean() }), { maxLength: 80 }), (steps) => {
        const nodes = new PackingNodes([
          { cpu: 16_000, memory: 100, devices: 4, model: 0 },
          { cpu: 16_000, memory: 100, devices: 2, model: 1 },
          { cpu: 4000, memory: 30, devices: 0, model: 0 },
        ]);
        const held: { node: number; shape: (typeof shapes)[number]; devices: number[] }[] = [];
        for (const step of steps) {
          const shape = shapes[step.shape]!;
          if (step.leaves && held.length > 0) {
            const gone = held.splice(step.node % held.length, 1)[0]!;
            nodes.release(gone.node, gone.shape, gone.devices);
          } else if (nodes.fits(step.node, shape)) {
            const device = isFractional(shape) ? tightestDevice(nodes, step.node, shape) : -1;
            held.push({ node: step.node, shape, devices: nodes.take(step.node, shape, device) });
          }
        }
        for (let n = 0; n < nodes.count; n++) {
          const devices = [...nodes.deviceFree.subarray(nodes.firstDevice[n], nodes.firstDevice[n + 1])];
          expect(nodes.sizeFree[n]).toBe(devices.reduce((a, b) => a + b, 0));
          expect(nodes.wholeFree[n]).toBe(devices.filter((free) => free === 1000).length);
          expect(Math.min(nodes.cpuFree[n]!, nodes.memoryFree[n]!, ...devices)).toBeGreaterThanOrEqual(0);
        }
        for (const { node, shape, devices } of held) nodes.release(node, shape, devices);
        expect([...nodes.deviceFree].every((free) => free === 1000)).toBe(true);
        expect([...nodes.cpuFree]).toEqual([...nodes.cpuTotal]);
      }),
    );
  });

  it("refuses a shape that does not fit and a device that has too little left", () => {
    const nodes = new PackingNodes([{ cpu: 16_000, memory: 100, devices: 2, model: 0 }]);
    expect(() => nodes.take(0, shapes[4]!, -1)).toThrow("does not fit");
    nodes.take(0, shapes[1]!, 1);
    const large = table.intern({ cpu: 1, memory: 1, devices: 1, share: 900, models: null });
    expect(() => nodes.take(0, large, 1)).toThrow("no 900 thousandths free");
  });
});

describe("ShapeTable", () => {
  it("gives equal needs one shape and refuses what cannot be", () => {
    const own = new ShapeTable();
    const need = { cpu: 1, memory: 1, devices: 1, share: 500, models: new Set([2, 1]) };
    expect(own.intern(need)).toBe(own.intern({ ...need, models: new Set([1, 2]) }));
    expect(() => own.intern({ ...need, devices: 2 })).toThrow("only a single device can be shared");
    expect(() => own.intern({ ...need, share: 0 })).toThrow("share must be");
    expect(() => own.intern({ ...need, devices: -1 })).toThrow("devices must be");
  });
});
