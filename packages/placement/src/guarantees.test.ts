import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEngine } from "./engine.ts";
import type { PlacementEngine } from "./placement-engine.ts";
import type { QuotaInput } from "./queue-input.ts";

/** Amounts in devices; absent: no limit. */
interface Limits {
  nominal: number;
  borrow?: number | undefined;
  lend?: number | undefined;
}

const limitArb = fc.option(fc.nat(4), { nil: undefined });
const leafArb = fc.record({ nominal: fc.nat(4), borrow: limitArb, lend: limitArb, weight: fc.constantFrom(1, 2), parent: fc.nat(1) });
const parentArb = fc.record({ own: fc.nat(3), borrow: limitArb, lend: limitArb });
const arrivalArb = fc.record({ queue: fc.nat(3), count: fc.integer({ min: 1, max: 6 }), priority: fc.nat(2) });

function quotas({ nominal, borrow, lend }: Limits): QuotaInput[] {
  const most = { ...(borrow === undefined ? {} : { borrowLimit: borrow * 1000 }), ...(lend === undefined ? {} : { lendLimit: lend * 1000 }) };
  return [{ resource: "accelerators", nominal: nominal * 1000, ...most }];
}

/** Jobs of one device each, and how many of each queue run when all has settled. */
class Devices {
  readonly queueOf = new Map<string, number>();
  readonly running = new Set<string>();
  readonly #engine: PlacementEngine;
  #now = 0;

  constructor(engine: PlacementEngine) {
    this.#engine = engine;
  }

  arrive(queue: number, count: number, priority: number): void {
    for (let i = 0; i < count; i++) {
      const id = `j${this.queueOf.size}`;
      this.queueOf.set(id, queue);
      const roles = [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: 1 } }];
      this.#engine.submit({ id, queue: `q${queue}`, priority, preemptible: true, submittedAt: this.#now++, roles });
    }
    let quiet = 0;
    for (let i = 0; i < 100 && quiet < 2; i++) {
      this.#now += 1000;
      const { starts, evictions } = this.#engine.cycle(this.#now);
      for (const { job } of starts) this.running.add(job);
      for (const { job } of evictions) {
        this.running.delete(job);
        this.#engine.released(job, this.#now);
      }
      quiet = starts.length + evictions.length === 0 ? quiet + 1 : 0;
    }
    if (quiet < 2) throw new Error("does not settle");
  }

  held(queue: number): number {
    return [...this.running].filter((id) => this.queueOf.get(id) === queue).length;
  }

  waits(queue: number): boolean {
    return [...this.queueOf].some(([id, of]) => of === queue && !this.running.has(id));
  }
}

describe("whoever waits", () => {
  it("never has less than is guaranteed to its queue, or to those above it, whatever was lent before", () => {
    fc.assert(
      fc.property(
        fc.array(leafArb, { minLength: 2, maxLength: 4 }),
        fc.tuple(parentArb, parentArb),
        fc.nat(4),
        fc.array(arrivalArb, { minLength: 1, maxLength: 6 }),
        fc.constantFrom("closed" as const, "borrowable" as const),
        fc.constantFrom("fair_share" as const, "nominal" as const),
        (leaves, inner, spare, arrivals, unassignedCapacity, reclaim) => {
          const below = (p: number): number[] => leaves.flatMap((leaf, i) => (leaf.parent === p ? [i] : []));
          const parents = inner.map((limits, p) => ({ ...limits, nominal: below(p).reduce((sum, i) => sum + leaves[i]!.nominal, limits.own) }));
          const devices = parents.reduce((sum, { nominal }) => sum + nominal, spare);
          fc.pre(devices > 0);
          const engine = createEngine({ policy: { protectedRuntimeMs: 0, unassignedCapacity, reclaim } });
          for (const [p, parent] of parents.entries()) engine.putQueue({ id: `p${p}`, quotas: quotas(parent) });
          for (const [i, leaf] of leaves.entries()) engine.putQueue({ id: `q${i}`, parent: `p${leaf.parent}`, weight: leaf.weight, quotas: quotas(leaf) });
          engine.putNode({ id: "n", pool: "p", accelerator: "x", devices, cpuMillis: 1, memoryBytes: 1, schedulable: true });
          const world = new Devices(engine);
          for (const { queue, count, priority } of arrivals) {
            world.arrive(queue % leaves.length, count, priority);
            const most = (i: number): number => leaves[i]!.nominal + (leaves[i]!.borrow ?? Infinity);
            for (const [i, { nominal }] of leaves.entries()) {
              expect(!world.waits(i) || world.held(i) >= nominal, `q${i} has what is its own, or nothing waits there`).toBe(true);
              expect(world.held(i), `q${i}`).toBeLessThanOrEqual(most(i));
            }
            for (const [p, parent] of parents.entries()) {
              const held = below(p).reduce((sum, i) => sum + world.held(i), 0);
              expect(held, `p${p}`).toBeLessThanOrEqual(parent.nominal + (parent.borrow ?? Infinity));
              // What a queue keeps to itself is in no other's reach.
              const keptIdle = below(p).reduce((sum, i) => sum + Math.max(0, leaves[i]!.nominal - (leaves[i]!.lend ?? Infinity) - world.held(i)), 0);
              const wants = below(p).some((i) => world.waits(i) && world.held(i) < most(i));
              expect(!wants || held + keptIdle >= parent.nominal, `p${p} has what is its own, or nothing waits below`).toBe(true);
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
