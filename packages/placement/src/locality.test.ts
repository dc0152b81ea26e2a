import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import type { JobInput, NodeInput, ParallelismInput, PlacementEngine, Start } from "./index.ts";

/** Nodes of eight devices, by leaf; `taken` of each leaf are out of use. */
function leaves(sizes: readonly number[], taken: readonly number[] = [], perSpine = 99): PlacementEngine {
  const engine = createEngine();
  engine.putQueue({ id: "q" });
  for (const [leaf, size] of sizes.entries()) {
    for (let i = 0; i < size; i++) {
      const node: NodeInput = {
        id: `l${leaf}-${i}`,
        pool: "a",
        accelerator: "h800",
        devices: 8,
        cpuMillis: 64_000,
        memoryBytes: 1e12,
        schedulable: i >= (taken[leaf] ?? 0),
        fabric: { leaf: `l${leaf}`, spine: `s${Math.floor(leaf / perSpine)}`, zone: "z" },
      };
      engine.putNode(node);
    }
  }
  return engine;
}

function gang(nodes: number, parallelism: ParallelismInput | undefined, more: Partial<JobInput> = {}): JobInput {
  return {
    id: "gang",
    queue: "q",
    priority: 0,
    preemptible: true,
    submittedAt: 0,
    roles: [{ name: "worker", nodes: { min: nodes, max: nodes }, resources: { accelerators: 8 } }],
    ...(parallelism === undefined ? {} : { parallelism }),
    ...more,
  };
}

function start(engine: PlacementEngine, job: JobInput): Start {
  engine.submit(job);
  const { starts } = engine.cycle(1);
  expect(starts).toHaveLength(1);
  return starts[0]!;
}

const leafOf = (id: string): string => id.slice(0, id.indexOf("-"));
const leavesOf = (placed: Start): string[] => placed.members.map((member) => leafOf(member.node));

describe("locality by parallel groups", () => {
  it("is 1 where the hardware could do no better, and less where it could", () => {
    expect(start(leaves([4, 4]), gang(4, { tp: 8, dp: 4 })).locality).toBe(1);
    expect(start(leaves([3, 3]), gang(4, { tp: 8, dp: 4 })).locality).toBe(1);
    expect(start(leaves([4, 4], [2, 2]), gang(4, { tp: 8, dp: 4 })).locality).toBeLessThan(1);
  });

  it("weighs what crosses: a pipeline boundary is cheaper than a group of experts, and that than tensor parallelism", () => {
    const of = (parallelism: ParallelismInput): number => start(leaves([4, 4], [2, 2]), gang(4, parallelism)).locality;
    const stages = of({ tp: 16, pp: 2 });
    const experts = of({ tp: 8, ep: 32 });
    const tensor = of({ tp: 32 });
    expect(stages).toBeGreaterThan(experts);
    expect(experts).toBeLessThan(1);
    expect(stages).toBeGreaterThan(tensor);
  });

  it("follows the order in which ranks walk through the groups", () => {
    const of = (order: string): number => start(leaves([4, 4], [2, 2]), gang(4, { tp: 8, pp: 4, order })).locality;
    expect(of("tp-pp")).toBeGreaterThan(of("pp-tp"));
  });

  it("keeps groups together where the gang would else be dealt across them", () => {
    const leavesWithout = leavesOf(start(leaves([3, 3]), gang(4, undefined)));
    expect(leavesWithout.filter((leaf) => leaf === leavesWithout[0])).not.toHaveLength(2);
    const placed = start(leaves([3, 3]), gang(4, { tp: 8, ep: 16, order: "tp-ep-dp" }));
    expect(leavesOf(placed)).toEqual(["l0", "l0", "l1", "l1"]);
  });

  it("says what is wrong with sizes and order", () => {
    const engine = leaves([1]);
    expect(() => engine.submit(gang(1, { tp: 0 }))).toThrow(/^parallelism\.tp: /);
    expect(() => engine.submit(gang(1, { order: "tp-xp" }))).toThrow(/^parallelism\.order: /);
  });

  it("scores by rings where the sizes do not divide the ranks", () => {
    expect(start(leaves([4, 4], [2, 2]), gang(4, { tp: 7 })).locality).toBe(start(leaves([4, 4], [2, 2]), gang(4, undefined)).locality);
  });

  it("agrees with every placement tried out on leaves of one size", () => {
    const shapes = fc.constantFrom<readonly [number, ParallelismInput]>(
      [4, { tp: 8, ep: 16 }],
      [4, { tp: 8, pp: 2 }],
      [4, { tp: 16 }],
      [4, { tp: 8, cp: 2, pp: 2 }],
      [3, { tp: 8 }],
    );
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), shapes, (size, [members, parallelism]) => {
        const sizes = [size, size, size];
        const found = leavesOf(start(leaves(sizes), gang(members, parallelism)));
        const all = (left: number): number[][] => (left === 0 ? [[]] : all(left - 1).flatMap((head) => [0, 1, 2].map((leaf) => [...head, leaf])));
        let best = Infinity;
        for (const choice of all(members)) {
          if (sizes.some((room, leaf) => choice.filter((one) => one === leaf).length > room)) continue;
          best = Math.min(best, crossing(choice.map(String), members, parallelism));
        }
        expect(crossing(found, members, parallelism)).toBeCloseTo(best);
      }),
      { numRuns: 60 },
    );
  });
});

/** The same measure written out for one level of leaves: 2 for each link that leaves a leaf, 1 within, 0 in a node; tp, cp, ep, dp, pp. */
function crossing(leafOfNode: readonly string[], members: number, { tp = 1, cp = 1, ep = 1, pp = 1 }: ParallelismInput): number {
  const ranks = members * 8;
  const distance = (a: number, b: number): number => {
    const [x, y] = [Math.floor(a / 8), Math.floor(b / 8)];
    if (x === y) return 0;
    return leafOfNode[x] === leafOfNode[y] ? 2 : 3;
  };
  const dp = ranks / tp / cp / pp;
  let cost = 0;
  for (let r = 0; r < ranks; r++) {
    const ring = (size: number, stride: number, weight: number): void => {
      const i = Math.floor(r / stride) % size;
      const next = r - i * stride + ((i + 1) % size) * stride;
      cost += ((weight * (size - 1)) / size) * distance(r, next);
    };
    ring(tp, 1, 32);
    ring(cp, tp, 8);
    ring(dp, tp * cp, 2);
    if (r + tp * cp * dp < ranks) cost += distance(r, r + tp * cp * dp);
    if (ep > 1) for (let other = r - (r % ep); other < r - (r % ep) + ep; other++) cost += (16 / ep) * distance(r, other);
  }
  return cost;
}

describe("constraints in layers", () => {
  /** Two spines of two leaves of four domains of two nodes. */
  function fabric(closed: readonly string[] = []): PlacementEngine {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    for (let i = 0; i < 32; i++) {
      const [domain, leaf, spine] = [i >> 1, i >> 3, i >> 4];
      engine.putNode({
        id: `n${i}`,
        pool: "a",
        accelerator: "h800",
        devices: 8,
        cpuMillis: 64_000,
        memoryBytes: 1e12,
        schedulable: !closed.includes(`n${i}`),
        fabric: { domain: `d${domain}`, leaf: `l${leaf}`, spine: `s${spine}`, zone: "z" },
      });
    }
    return engine;
  }
  const layered = gang(
    8,
    { tp: 4, ep: 16, pp: 2 },
    {
      segments: [
        { ranks: 16, within: "domain", mode: "required" },
        { ranks: 32, within: "leaf", mode: "required" },
      ],
      within: { within: "spine", mode: "required" },
    },
  );
  const blocksOf = (placed: Start, size: number, shift: number): number[] => {
    const index = placed.members.map((member) => Number(member.node.slice(1)) >> shift);
    const counts: number[] = [];
    for (let from = 0; from < index.length; from += size) counts.push(new Set(index.slice(from, from + size)).size);
    return counts;
  };

  it("keep experts in a domain, pipeline stages in a leaf and all in a spine", () => {
    // One node of every second domain of the first spine is out: four whole domains are left, two in each leaf.
    const placed = start(fabric(["n0", "n4", "n8", "n12", ...Array.from({ length: 14 }, (_, i) => `n${16 + i}`)]), layered);
    expect(blocksOf(placed, 2, 1)).toEqual([1, 1, 1, 1]);
    expect(blocksOf(placed, 4, 3)).toEqual([1, 1]);
    expect(blocksOf(placed, 8, 4)).toEqual([1]);
  });

  it.each([
    ["domains", ["n0", "n2", "n4", "n6", "n8"]],
    ["leaves", ["n0", "n2", "n4", "n8"]],
  ])("make it wait where %s do not add up, though as many nodes are free", (_, closed) => {
    const engine = fabric([...closed, ...Array.from({ length: 12 }, (_node, i) => `n${16 + i}`)]);
    engine.submit(layered);
    expect(engine.cycle(1).starts).toEqual([]);
    expect(engine.explain("gang").reason).toBe("topology_fragmented");
  });

  it("agree with every choice of domains tried out", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(31), { maxLength: 24 }), (closed) => {
        const engine = fabric(closed.map((i) => `n${i}`));
        engine.submit(layered);
        const whole = (domain: number): boolean => !closed.includes(2 * domain) && !closed.includes(2 * domain + 1);
        const stages = (leaf: number): number => [0, 1, 2, 3].filter((i) => whole(leaf * 4 + i)).length >> 1;
        expect(engine.cycle(1).starts.length === 1).toBe([0, 1].some((spine) => stages(spine * 2) + stages(spine * 2 + 1) >= 2));
      }),
      { numRuns: 200 },
    );
  });
});
