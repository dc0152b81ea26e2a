import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { NodeInput } from "./cluster-input.ts";
import { createEngine } from "./engine.ts";
import type { Explanation, WaitReason } from "./explanation.ts";
import type { JobInput } from "./job-input.ts";
import type { PlacementEngine } from "./placement-engine.ts";

interface Node {
  devices: number;
  leaf: number;
  pool: number;
  healthy: boolean;
  /** Devices in use. */
  used: number;
}

interface Ask {
  pools: string[];
  devices: number;
  members: number;
  /** Groups that share a leaf. */
  segment: number | undefined;
  within: "leaf" | "spine" | undefined;
}

const nodeArb: fc.Arbitrary<Node> = fc
  .record({ devices: fc.integer({ min: 1, max: 3 }), leaf: fc.nat(3), pool: fc.nat(1), healthy: fc.boolean(), used: fc.nat(3) })
  .map((node) => ({ ...node, used: Math.min(node.used, node.devices) }));
const askArb: fc.Arbitrary<Ask> = fc
  .record({
    pools: fc.subarray(["p0", "p1", "p2"], { minLength: 1 }),
    devices: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
    segment: fc.constantFrom(undefined, undefined, 1, 2),
    within: fc.constantFrom(undefined, undefined, "leaf" as const, "spine" as const),
  })
  .map(({ groups, ...ask }) => ({ ...ask, members: groups * (ask.segment ?? 1) }));

function nodeInput(node: Node, i: number): NodeInput {
  return {
    id: `n${i}`,
    pool: `p${node.pool}`,
    accelerator: "x",
    devices: node.devices,
    cpuMillis: 1,
    memoryBytes: 1,
    schedulable: node.healthy,
    fabric: { leaf: `l${node.leaf}`, spine: `s${node.leaf >> 1}` },
    heldDevices: Array.from({ length: node.devices }, (_, d) => (d < node.used ? 1000 : 0)),
  };
}

function jobInput(ask: Ask, id: string): JobInput {
  return {
    id,
    queue: "q",
    priority: 0,
    preemptible: true,
    submittedAt: 0,
    roles: [{ name: "worker", nodes: { min: ask.members, max: ask.members }, colocate: true, resources: { accelerators: ask.devices } }],
    variants: [{ pools: ask.pools }],
    ...(ask.segment === undefined ? {} : { segments: [{ ranks: ask.segment * ask.devices, within: "leaf", mode: "required" as const }] }),
    ...(ask.within === undefined ? {} : { within: { within: ask.within, mode: "required" as const } }),
  };
}

/** Whether some way to spread the members over blocks holds all of them, tried by numbers per leaf. */
function fits(ask: Ask, room: (node: Node) => number, nodes: readonly Node[]): boolean {
  const segment = ask.segment ?? 1;
  const groupsIn = (leaf: number): number => {
    const members = nodes.filter((node) => node.leaf === leaf).reduce((sum, node) => sum + Math.floor(Math.max(0, room(node)) / ask.devices), 0);
    return Math.floor(members / segment);
  };
  const areas =
    ask.within === "leaf"
      ? [[0], [1], [2], [3]]
      : ask.within === "spine"
        ? [
            [0, 1],
            [2, 3],
          ]
        : [[0, 1, 2, 3]];
  return areas.some((leaves) => leaves.reduce((sum, leaf) => sum + groupsIn(leaf), 0) * segment >= ask.members);
}

/** In words of its own: how far a job is from running in one pool, by what would have to be otherwise. */
function reasonIn(pool: number, ask: Ask, nodes: readonly Node[], limit: number, used: number): WaitReason | "fits" {
  const own = nodes.filter((node) => node.pool === pool);
  const devices = ask.members * ask.devices;
  const most = (node: Node): number => node.devices;
  const free = (node: Node): number => (node.healthy ? node.devices - node.used : 0);
  const returned = (node: Node): number => node.devices - node.used;
  const loose = { ...ask, segment: undefined, within: undefined };
  if (!own.some((node) => node.devices >= ask.devices)) return "no_matching_pool";
  if (devices > limit) return "exceeds_quota";
  if (!fits(ask, most, own)) return "exceeds_topology";
  if (devices > limit - used) return "quota_exhausted";
  if (fits(ask, free, own)) return "fits";
  if (!fits(loose, free, own)) return fits(ask, returned, own) ? "nodes_unhealthy" : "insufficient_capacity";
  return "topology_fragmented";
}

const NEAREST: readonly WaitReason[] = [
  "no_matching_pool",
  "exceeds_quota",
  "exceeds_topology",
  "quota_exhausted",
  "insufficient_capacity",
  "topology_fragmented",
  "nodes_unhealthy",
];

/** A cluster of two pools, a queue with a limit of which some is used, and one job that waits. */
function explained(nodes: readonly Node[], ask: Ask, limit: number, used: number): { engine: PlacementEngine; why: Explanation | null } {
  const engine = createEngine({ policy: { consolidation: false } });
  engine.putQueue({ id: "q", quotas: [{ resource: "accelerators", limit: limit * 1000 }] });
  engine.putNode({ ...nodeInput({ devices: 8, leaf: 0, pool: 8, healthy: true, used: 0 }, 99), fabric: {} });
  for (const [i, node] of nodes.entries()) engine.putNode(nodeInput(node, i));
  if (used > 0) {
    engine.submit({ ...jobInput({ pools: ["p8"], devices: used, members: 1, segment: undefined, within: undefined }, "runs"), preemptible: false });
    engine.cycle(1);
  }
  engine.submit(jobInput(ask, "job"));
  return { engine, why: engine.cycle(2).starts.length > 0 ? null : engine.explain("job") };
}

describe("the reason of a job that waits", () => {
  const clusterArb = fc.array(nodeArb, { minLength: 1, maxLength: 8 });

  it("is the one nearest to running, as brute force finds it, with its numbers", () => {
    fc.assert(
      fc.property(clusterArb, askArb, fc.integer({ min: 1, max: 16 }), fc.nat(8), (nodes, ask, limit, inUse) => {
        const used = Math.min(inUse, limit);
        const { why } = explained(nodes, ask, limit, used);
        const found = ask.pools.map((pool) => reasonIn(Number(pool.slice(1)), ask, nodes, limit, used));
        const nearest = Math.max(...found.map((reason) => NEAREST.indexOf(reason as WaitReason)));
        expect(why?.reason ?? "fits").toBe(found.includes("fits") ? "fits" : NEAREST[nearest]);
        if (why === null) return;
        expect(why.message).not.toMatch(/Infinity|NaN|undefined/);
        expect(why.evaluatedAt).toBe(2);
        for (const free of why.free) {
          const own = nodes.filter((node) => `p${node.pool}` === free.pool);
          expect(free.totalDevices).toBe(own.reduce((sum, node) => sum + node.devices, 0));
          expect(free.freeDevices).toBe(own.reduce((sum, node) => sum + (node.healthy ? node.devices - node.used : 0), 0));
          expect(free.unhealthyNodes).toBe(own.filter((node) => !node.healthy).length);
        }
        for (const { nodes: count, sampleNodes } of why.filtered) expect(sampleNodes.length).toBe(Math.min(count, 5));
      }),
      { numRuns: 1000 },
    );
  });

  it("names nodes whose return makes it start", () => {
    fc.assert(
      fc.property(clusterArb, askArb, (nodes, ask) => {
        const { engine, why } = explained(nodes, ask, 100, 0);
        for (const hint of why?.wouldFitIf ?? []) {
          const block = /^\d+ nodes of (leaf|spine) (\S+) return/.exec(hint);
          const any = /^\d+ of the nodes out of service return/.test(hint);
          if (block === null && !any) continue;
          const returning = nodes.flatMap(({ healthy, leaf }, i) => {
            const name = block?.[1] === "leaf" ? `l${leaf}` : `s${leaf >> 1}`;
            return !healthy && (any || block![2]!.split("/").at(-1) === name) ? [`n${i}`] : [];
          });
          const { start } = engine.plan({ ...jobInput(ask, "again") }, 2, { returnNodes: returning, removeJobs: ["job"] });
          expect(start, hint).not.toBeNull();
        }
      }),
      { numRuns: 1000 },
    );
  });
});

it("the largest gang that could start now is told for each size of its segments", () => {
  fc.assert(
    fc.property(fc.array(nodeArb, { minLength: 1, maxLength: 12 }), fc.constantFrom(1, 2, 3), (given, size) => {
      const nodes = given.map((node) => ({ ...node, pool: 0 }));
      const engine = createEngine();
      engine.putQueue({ id: "q" });
      for (const [i, node] of nodes.entries()) engine.putNode(nodeInput(node, i));
      engine.submit(jobInput({ pools: ["p0"], devices: 1, members: 50 * size, segment: size === 1 ? undefined : size, within: undefined }, "huge"));
      engine.cycle(1);
      const room = (leaf: number): number => nodes.reduce((sum, node) => sum + (node.leaf === leaf && node.healthy ? node.devices - node.used : 0), 0);
      const members = [0, 1, 2, 3].reduce((sum, leaf) => sum + Math.floor(room(leaf) / size) * size, 0);
      expect(engine.explain("huge").largestGangs).toMatchObject([{ pool: "p0", segmentNodes: size, members }]);
    }),
    { numRuns: 100 },
  );
});

describe("what keeps a job of several roles", () => {
  const role = (name: string, nodes: number, accelerators: number) => ({ name, nodes: { min: nodes, max: nodes }, resources: { accelerators } });
  const engineWith = (nodes: number, limit?: number): PlacementEngine => {
    const engine = createEngine();
    engine.putQueue({ id: "q", quotas: limit === undefined ? [] : [{ resource: "accelerators", limit: limit * 1000 }] });
    for (let i = 0; i < nodes; i++) engine.putNode({ ...nodeInput({ devices: 3, leaf: 0, pool: 0, healthy: true, used: 0 }, i), cpuMillis: 1000 });
    return engine;
  };
  const job: JobInput = {
    ...jobInput({ pools: ["p0"], devices: 1, members: 1, segment: undefined, within: undefined }, "rl"),
    roles: [role("trainer", 2, 3), role("rollout", 2, 3)],
  };

  it("is room for all of them at once, where each alone has it", () => {
    const engine = engineWith(4);
    engine.submit({ ...job, id: "small", roles: [role("worker", 1, 3)] });
    engine.cycle(0);
    engine.submit(job);
    engine.cycle(1);
    expect(engine.explain("rl")).toMatchObject({
      reason: "insufficient_capacity",
      message: "roles trainer and rollout would each fit now, but not all of them at once",
    });
  });

  it("is hardware for all of them at once, where each alone has it", () => {
    const engine = engineWith(3);
    engine.submit(job);
    engine.cycle(1);
    expect(engine.explain("rl")).toMatchObject({
      reason: "exceeds_topology",
      message: expect.stringContaining("trainer (2 nodes with 3 devices; 3 fit in p0) and rollout (2 nodes with 3 devices; 3 fit in p0) never fit all at once"),
      wouldFitIf: ["nodes are added to pool p0"],
    });
    const another = { ...nodeInput({ devices: 3, leaf: 0, pool: 0, healthy: false, used: 3 }, 3), cpuMillis: 1000 };
    expect(engine.plan({ ...job, id: "p" }, 1)).toMatchObject({ impossible: true });
    expect(engine.plan({ ...job, id: "p" }, 1, { addNodes: [another] })).toMatchObject({ impossible: false });
    expect(engine.plan({ ...job, id: "p" }, 1)).toMatchObject({ impossible: true });
    // Out of service and full, but there.
    engine.putNode(another);
    expect(engine.explain("rl").reason).toBe("insufficient_capacity");
    engine.removeNode("n3");
    expect(engine.explain("rl").reason).toBe("exceeds_topology");
  });

  it("is quota for all of them", () => {
    const engine = engineWith(5, 14);
    engine.submit(job);
    engine.submit({ ...job, id: "small", roles: [role("worker", 1, 3)] });
    engine.submit({ ...job, id: "again" });
    engine.submit({ ...job, id: "never", roles: [role("a", 2, 3), role("b", 3, 3)] });
    engine.cycle(1);
    expect(engine.explain("again")).toMatchObject({ reason: "quota_exhausted" });
    expect(engine.explain("never")).toMatchObject({ reason: "exceeds_quota", message: 'needs 15 accelerators; queue "q" can never use more than 14' });
  });

  it("is no quota that is exceeded only where they all go to one of several pools", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q", quotas: [{ resource: "accelerators", pool: "p0", limit: 9000 }] });
    for (let i = 0; i < 4; i++)
      engine.putNode({ ...nodeInput({ devices: 3, leaf: 0, pool: i >> 1, healthy: true, used: i === 3 ? 3 : 0 }, i), cpuMillis: 1000 });
    const [trainer, rollout] = job.roles;
    engine.submit({
      ...job,
      roles: [
        { ...trainer!, pools: ["p0", "p1"] },
        { ...rollout!, pools: ["p0"] },
      ],
    });
    engine.cycle(1);
    expect(engine.explain("rl")).toMatchObject({ reason: "insufficient_capacity" });
  });

  it("is the role that lacks most, in the variant that lacks least", () => {
    const engine = engineWith(3);
    engine.submit({ ...job, variants: [{ roles: { rollout: { nodes: { min: 9, max: 9 } } } }, { roles: { rollout: { resources: { accelerators: 4 } } } }] });
    engine.cycle(1);
    expect(engine.explain("rl")).toMatchObject({ reason: "exceeds_topology", message: expect.stringContaining("needs 9 nodes") });
  });
});

it("a job that would span zones when as many as may already do is told so", () => {
  const engine = createEngine({ policy: { maxCrossZoneJobs: 1 } });
  engine.putQueue({ id: "q" });
  for (let i = 0; i < 6; i++) engine.putNode({ ...nodeInput({ devices: 2, leaf: 0, pool: 0, healthy: true, used: 0 }, i), fabric: { zone: `z${i >> 1}` } });
  const wide = jobInput({ pools: ["p0"], devices: 1, members: 5, segment: undefined, within: undefined }, "wide");
  engine.submit(wide);
  engine.submit({ ...wide, id: "next" });
  expect(engine.cycle(1).starts.map(({ job }) => job)).toEqual(["wide"]);
  expect(engine.explain("next")).toMatchObject({ reason: "topology_fragmented", message: expect.stringContaining("1 jobs span zones already, of at most 1") });
});
