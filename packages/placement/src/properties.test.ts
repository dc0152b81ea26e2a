import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEngine } from "./index.ts";
import { jobArb, jobInput, nodeArb, nodeInput, World, type JobShape } from "./testing/world.ts";

const stepArb = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("submit" as const), job: jobArb }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("cycle" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("finish" as const), pick: fc.nat(20) }) },
);

describe("invariants", () => {
  it("hold over random clusters, jobs and orders of events", () => {
    fc.assert(
      fc.property(
        fc.array(nodeArb, { minLength: 1, maxLength: 8 }),
        fc.constantFrom(0, 2, 4),
        fc.array(stepArb, { minLength: 10, maxLength: 60, size: "max" }),
        (nodes, nominal, steps) => {
          const world = new World(nodes, nominal);
          for (const step of steps) {
            if (step.do === "submit") world.submit(step.job);
            else if (step.do === "cycle") world.cycle();
            else if (step.do === "release") world.release();
            else world.finish(step.pick);
          }
          // Left alone, everything settles: each eviction is followed by a start, and then nothing moves any more.
          world.settle();
          for (const id of world.jobs.keys()) {
            if (world.live.has(id) || world.finished.has(id)) continue;
            expect(["pending_evaluation", "waiting_for_preemption"]).not.toContain(world.engine.explain(id).reason);
            expect(world.engine.explain(id).message).not.toBe("");
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("hold nothing back by memory: an engine that is told all anew decides nothing more", () => {
    const change = fc.oneof(
      { weight: 6, arbitrary: stepArb },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("cordon" as const, "return" as const, "cancel" as const), pick: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("urgent" as const, "alike" as const), pick: fc.nat(20), to: fc.nat(3) }) },
    );
    fc.assert(
      fc.property(
        fc.array(nodeArb, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(0, 2, 4),
        fc.array(change, { minLength: 4, maxLength: 40 }),
        (nodes, nominal, steps) => {
          const world = new World(nodes, nominal);
          for (const step of steps) {
            if (step.do === "submit") world.submit(step.job);
            else if (step.do === "cycle") world.cycle();
            else if (step.do === "release") world.release();
            else if (step.do === "finish") world.finish(step.pick);
            else if (step.do === "urgent") world.reprioritize(step.pick, step.to);
            else if (step.do === "alike") world.submitAlike(step.pick, step.to);
            else if (step.do === "cancel") world.cancel(step.pick);
            else world.setSchedulable(step.pick, step.do === "return");
            if (step.do === "submit" || step.do === "cycle" || step.do === "release") continue;
            world.settle();
            const { starts, evictions, shrinks, grows, moves } = world.rebuilt().cycle(world.now + 1);
            expect([starts, evictions, shrinks, grows, moves]).toEqual([[], [], [], [], []]);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("settle where a queue's small job could push out another's gang, and more of that queue would fill the rest", () => {
    const world = new World(
      [2, 2, 3].map((devices) => ({ devices, cpus: 1, leaf: 0, pool: 0 })),
      0,
    );
    const submit = (queue: number, min: number, devices: number, share: 0 | 250 = 0, preemptible = true): void =>
      world.submit({ queue, priority: 0, preemptible, min, more: 0, devices, share, cpus: 0, colocate: false, within: undefined, required: false });
    submit(0, 1, 3, 0, false);
    submit(1, 2, 2);
    world.cycle();
    submit(0, 1, 0, 250);
    submit(0, 2, 1);
    let disturbed = 0;
    for (let i = 0; i < 12; i++) {
      const { evictions, moves } = world.cycle();
      disturbed += evictions.length + moves.length;
      world.release();
    }
    expect(disturbed).toBeLessThan(2);
  });

  it("settle where work of the own queue that could stay is all that keeps a claim on another's from being just", () => {
    const world = new World(
      [
        { devices: 1, cpus: 1, leaf: 0, pool: 0 },
        { devices: 0, cpus: 4, leaf: 0, pool: 0 },
        { devices: 2, cpus: 2, leaf: 0, pool: 0 },
      ],
      0,
    );
    const common = { more: 0, within: undefined, required: false, colocate: false, share: 0 } as const;
    world.submit({ ...common, queue: 2, priority: 2, preemptible: true, min: 1, devices: 0, share: 250, cpus: 2 });
    world.submit({ ...common, queue: 2, priority: 0, preemptible: true, min: 2, devices: 0, cpus: 2, colocate: true });
    world.submit({ ...common, queue: 0, priority: 2, preemptible: true, min: 2, devices: 1, cpus: 1 });
    world.submit({ ...common, queue: 0, priority: 0, preemptible: false, min: 1, devices: 1, cpus: 2 });
    expect(() => world.settle()).not.toThrow();
  });

  it("settle where one of two that went for the sake of shares could come back", () => {
    const world = new World(
      [
        { devices: 0, cpus: 1, leaf: 0, pool: 0 },
        { devices: 2, cpus: 4, leaf: 0, pool: 0 },
        { devices: 1, cpus: 1, leaf: 0, pool: 0 },
      ],
      0,
    );
    const common = { more: 0, within: undefined, required: false, share: 0 } as const;
    world.submit({ ...common, queue: 0, priority: 0, preemptible: true, min: 1, devices: 0, cpus: 1, colocate: false });
    world.submit({ ...common, queue: 0, priority: 0, preemptible: true, min: 3, devices: 1, cpus: 0, colocate: true });
    for (let i = 0; i < 2; i++) world.submit({ ...common, queue: 0, priority: 1, preemptible: false, min: 1, devices: 0, cpus: 1, colocate: false });
    world.cycle();
    world.submit({ ...common, queue: 2, priority: 0, preemptible: false, min: 2, devices: 0, cpus: 1, colocate: true });
    world.submit({ ...common, queue: 2, priority: 0, preemptible: true, min: 1, devices: 1, cpus: 2, colocate: false });
    expect(() => world.settle()).not.toThrow();
  });

  it("settle where a borrower could push out a gang whose queue would then take back its own for another", () => {
    const shapes = [
      [3, 2, 2, 1],
      [3, 2, 2, 1],
      [2, 2, 0, 1],
      [1, 1, 0, 0],
      [3, 1, 2, 1],
      [2, 2, 0, 0],
    ] as const;
    const world = new World(
      shapes.map(([devices, cpus, leaf, pool]) => ({ devices, cpus, leaf, pool })),
      4,
    );
    const fixed = {
      min: 1,
      more: 0,
      devices: 0,
      share: 0,
      cpus: 0,
      priority: 0,
      preemptible: false,
      colocate: false,
      within: undefined,
      required: false,
    } as const;
    const submit = (queue: number, more: Partial<JobShape>): void => world.submit({ ...fixed, queue, ...more });
    submit(2, { share: 500 });
    submit(0, { min: 2, share: 500 });
    submit(0, { devices: 1 });
    submit(0, { priority: 1, min: 3, share: 250, cpus: 1, colocate: true });
    submit(2, { preemptible: true, devices: 1, cpus: 2 });
    submit(0, { priority: 1, preemptible: true, min: 2, more: 1, devices: 1, cpus: 1, colocate: true });
    submit(0, { priority: 1, cpus: 2 });
    submit(0, { min: 2, share: 250, cpus: 1 });
    world.cycle();
    submit(1, { min: 2, devices: 2, cpus: 1 });
    world.cycle();
    submit(0, {});
    world.release();
    submit(2, { priority: 1, preemptible: true, min: 2, devices: 2 });
    submit(0, {});
    world.cycle();
    world.release();
    for (const pick of [3, 8, 16, 19]) world.finish(pick);
    expect(() => world.settle()).not.toThrow();
  });

  it("find whom to push out whatever has run for how long: who stands where there is room is not asked", () => {
    const world = new World(
      [
        { devices: 0, cpus: 2, leaf: 0, pool: 0 },
        { devices: 1, cpus: 4, leaf: 0, pool: 0 },
        { devices: 2, cpus: 2, leaf: 0, pool: 0 },
      ],
      0,
    );
    const common = { more: 0, within: undefined, required: false, priority: 0 } as const;
    world.submit({ ...common, queue: 0, preemptible: true, min: 2, devices: 0, share: 500, cpus: 2, colocate: true });
    world.settle();
    world.submit({ ...common, queue: 0, preemptible: true, min: 2, devices: 1, share: 0, cpus: 0, colocate: true });
    world.submit({ ...common, queue: 1, preemptible: false, min: 3, devices: 0, share: 0, cpus: 2, colocate: false });
    world.settle();
    expect(world.live.has("j2")).toBe(true);
  });

  it("decisions do not depend on the order in which nodes were told", () => {
    fc.assert(
      fc.property(fc.array(nodeArb, { minLength: 1, maxLength: 8 }), fc.array(jobArb, { maxLength: 12 }), fc.nat(), (nodes, jobs, turn) => {
        const play = (order: readonly number[]): unknown => {
          const engine = createEngine();
          for (let q = 0; q < 3; q++) engine.putQueue({ id: `q${q}` });
          for (const i of order) engine.putNode(nodeInput(nodes[i]!, i));
          for (const [i, shape] of jobs.entries()) engine.submit(jobInput(shape, i));
          return engine.cycle(1).starts;
        };
        const order = nodes.map((_, i) => i);
        const turned = order.map((_, i) => order[(i + turn) % order.length]!).reverse();
        expect(play(turned)).toEqual(play(order));
      }),
      { numRuns: 200 },
    );
  });

  it("a what-if changes nothing", () => {
    fc.assert(
      fc.property(fc.array(nodeArb, { minLength: 1, maxLength: 6 }), fc.array(jobArb, { maxLength: 8 }), jobArb, fc.boolean(), (nodes, jobs, what, settled) => {
        const play = (asking: boolean): unknown => {
          const world = new World(nodes, 0);
          for (const shape of jobs) world.submit(shape);
          world.cycle();
          if (settled) world.settle();
          const change = {
            removeNodes: ["n0"],
            addNodes: [nodeInput(nodes[0]!, 77)],
            returnNodes: nodes.map((_, i) => `n${i}`),
            addLike: [{ node: "n0", count: 2 }],
            removeJobs: [...world.jobs.keys()],
            queues: [{ id: "q0", quotas: [{ resource: "accelerators" as const, accelerator: "x", nominal: 1000, borrowLimit: 0 }] }],
          };
          if (asking) world.engine.plan({ ...jobInput(what, 99), id: "what" }, world.now, change);
          // What was looked at again after a what-if is no decision, but where much is still to be decided it may come a cycle sooner.
          const decided = settled ? { ...world.cycle(), evaluated: 0, skipped: 0 } : null;
          return [decided, world.engine.capacity(), [...world.jobs.keys()].map((id) => world.engine.waitReason(id))];
        };
        expect(play(true)).toEqual(play(false));
      }),
      { numRuns: 100 },
    );
  });
});

/** Every way to spread members over blocks, tried out. */
function fitsByBruteForce(free: readonly { leaf: number; places: number }[], members: number, segment: number, withinSpine: boolean): boolean {
  const leaves = new Map<number, number>();
  for (const { leaf, places } of free) leaves.set(leaf, (leaves.get(leaf) ?? 0) + places);
  const spines = withinSpine ? [0, 1] : [-1];
  const groups = members / segment;
  const search = (left: number, list: number[]): boolean =>
    left === 0 ||
    list.some(
      (places, i) =>
        places >= segment &&
        search(
          left - 1,
          list.map((p, j) => (j === i ? p - segment : p)),
        ),
    );
  return spines.some((spine) =>
    search(
      groups,
      [...leaves].filter(([leaf]) => spine < 0 || leaf >> 1 === spine).map(([, places]) => places),
    ),
  );
}

describe("against brute force", () => {
  it("a gang with segments starts exactly when some placement exists", () => {
    const small = fc.array(fc.record({ leaf: fc.integer({ min: 0, max: 3 }), places: fc.integer({ min: 0, max: 3 }) }), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(small, fc.constantFrom([2, 1], [2, 2], [4, 2], [6, 2], [6, 3], [3, 3], [4, 4]), fc.boolean(), (free, [members, segment], withinSpine) => {
        const engine = createEngine();
        engine.putQueue({ id: "q" });
        for (const [i, { leaf, places }] of free.entries()) {
          engine.putNode({ ...nodeInput({ devices: places, cpus: 1, leaf, pool: 0 }, i), cpuMillis: 1e6 });
        }
        engine.submit({
          id: "gang",
          queue: "q",
          priority: 0,
          preemptible: true,
          submittedAt: 0,
          roles: [{ name: "worker", nodes: { min: members, max: members }, resources: { accelerators: 1 }, colocate: true }],
          segments: [{ ranks: segment, within: "leaf", mode: "required" }],
          ...(withinSpine ? { within: { within: "spine", mode: "required" as const } } : {}),
        });
        const { starts } = engine.cycle(1);
        expect(starts.length === 1).toBe(fitsByBruteForce(free, members, segment, withinSpine));
        for (const { members: placed } of starts) {
          for (let from = 0; from < placed.length; from += segment) {
            expect(new Set(placed.slice(from, from + segment).map((m) => free[Number(m.node.slice(1))]!.leaf)).size).toBe(1);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it("a gang of roles on several pools starts exactly when some choice of pools and sizes takes all of them", () => {
    const pools = ["p0", "p1", "p2"];
    const roleArb = fc.record({
      pools: fc.shuffledSubarray(pools, { minLength: 1 }),
      min: fc.integer({ min: 1, max: 2 }),
      more: fc.integer({ min: 0, max: 2 }),
      free: fc.boolean(),
    });
    const sizesArb = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3));
    fc.assert(
      fc.property(sizesArb, fc.array(roleArb, { minLength: 1, maxLength: 3 }), (sizes, roles) => {
        const engine = createEngine();
        engine.putQueue({ id: "q" });
        for (const [p, size] of sizes.entries()) {
          for (let i = 0; i < size; i++) engine.putNode({ ...nodeInput({ devices: 4, cpus: 1, leaf: 0, pool: 0 }, p * 10 + i), pool: `p${p}`, cpuMillis: 1e6 });
        }
        engine.submit({
          id: "gang",
          queue: "q",
          priority: 0,
          preemptible: true,
          submittedAt: 0,
          roles: roles.map((role, i) => ({
            name: `r${i}`,
            nodes: { min: role.min, max: role.min + role.more },
            resources: { accelerators: 4 },
            ...(role.free ? {} : { pools: role.pools }),
          })),
        });
        // Roles without pools of their own go together.
        const choices = roles.map((role) => (role.free ? pools : role.pools));
        const lead = roles.findIndex((role) => role.free);
        const search = (at: number, left: readonly number[], chosen: readonly number[]): boolean => {
          if (at === roles.length) return true;
          return choices[at]!.some((pool) => {
            const p = pools.indexOf(pool);
            if (roles[at]!.free && at !== lead && chosen[lead] !== p) return false;
            return (
              left[p]! >= roles[at]!.min &&
              search(
                at + 1,
                left.map((n, i) => (i === p ? n - roles[at]!.min : n)),
                [...chosen, p],
              )
            );
          });
        };
        const { starts } = engine.cycle(1);
        expect(starts.length === 1).toBe(search(0, sizes, []));
        for (const { members } of starts) {
          for (const [i, role] of roles.entries()) {
            const own = members.filter((member) => member.role === `r${i}`);
            expect(own.length).toBeGreaterThanOrEqual(role.min);
            expect(new Set(own.map((member) => Math.floor(Number(member.node.slice(1)) / 10))).size).toBe(1);
            expect(role.free ? pools : role.pools).toContain(`p${Math.floor(Number(own[0]!.node.slice(1)) / 10)}`);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it("starts a gang whose small role would take a node that its large one needs whole", () => {
    const engine = createEngine();
    engine.putQueue({ id: "q" });
    engine.putNode({ ...nodeInput({ devices: 4, cpus: 1, leaf: 0, pool: 0 }, 0), cpuMillis: 1e6 });
    engine.putNode({ ...nodeInput({ devices: 8, cpus: 1, leaf: 0, pool: 0 }, 1), cpuMillis: 1e6 });
    const roles = [
      { name: "small", nodes: { min: 2, max: 2 }, resources: { accelerators: 2 } },
      { name: "large", nodes: { min: 1, max: 1 }, resources: { accelerators: 6 } },
    ];
    engine.submit({ id: "gang", queue: "q", priority: 0, preemptible: true, submittedAt: 0, roles });
    expect(engine.cycle(1).starts[0]?.members.map((member) => member.role)).toEqual(["small", "small", "large"]);
    engine.finished("gang", 2);
    engine.submit({
      id: "both",
      queue: "q",
      priority: 0,
      preemptible: true,
      submittedAt: 0,
      roles: [
        { ...roles[0]!, nodes: { min: 1, max: 3 }, colocate: true },
        { ...roles[1]!, resources: { accelerators: 8 } },
      ],
    });
    expect(engine.cycle(3).starts[0]?.members.map((member) => member.role)).toEqual(["small", "small", "large"]);
  });

  it("evicts for a more urgent job exactly when that can make it fit, and never more than is needed", () => {
    const running = fc.array(fc.record({ node: fc.nat(2), devices: fc.integer({ min: 1, max: 3 }), priority: fc.integer({ min: 0, max: 3 }) }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(running, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 2 }), (jobs, devices, priority) => {
        const engine = createEngine({ policy: { protectedRuntimeMs: 0, consolidation: false } });
        engine.putQueue({ id: "q" });
        const used = [0, 0, 0];
        const kept = jobs.filter((job) => (used[job.node]! += job.devices) <= 4 || (used[job.node]! -= job.devices) < 0);
        for (let n = 0; n < 3; n++) engine.putNode({ ...nodeInput({ devices: 4, cpus: 1, leaf: 0, pool: 0 }, n), cpuMillis: 1e6 });
        const first = [0, 0, 0];
        for (const [i, job] of kept.entries()) {
          engine.submit({
            id: `r${i}`,
            queue: "q",
            priority: job.priority,
            preemptible: true,
            submittedAt: i,
            roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: job.devices } }],
          });
          const from = first[job.node]!;
          first[job.node] = from + job.devices;
          engine.started(`r${i}`, {
            variant: 0,
            startedAt: 0,
            members: [
              {
                role: "worker",
                rank: 0,
                node: `n${job.node}`,
                devices: Array.from({ length: job.devices }, (_, d) => from + d),
                share: 1000,
                cpuMillis: 0,
                memoryBytes: 0,
              },
            ],
          });
        }
        engine.submit({
          id: "in",
          queue: "q",
          priority,
          preemptible: true,
          submittedAt: 100,
          roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: devices } }],
        });
        const { starts, evictions } = engine.cycle(1000);
        const freeOn = (n: number): number => 4 - kept.filter((job) => job.node === n).reduce((sum, job) => sum + job.devices, 0);
        const couldFree = (n: number): number =>
          kept.filter((job) => job.node === n && job.priority < priority).reduce((sum, job) => sum + job.devices, freeOn(n));
        const fitsNow = [0, 1, 2].some((n) => freeOn(n) >= devices);
        const fitsAfter = [0, 1, 2].some((n) => couldFree(n) >= devices);
        expect(starts.length).toBe(fitsNow ? 1 : 0);
        expect(evictions.length > 0).toBe(!fitsNow && fitsAfter);
        if (evictions.length === 0) return;
        const victims = evictions.map(({ job }) => kept[Number(job.slice(1))]!);
        const node = victims[0]!.node;
        expect(victims.every((victim) => victim.node === node && victim.priority < priority)).toBe(true);
        const freed = victims.reduce((sum, victim) => sum + victim.devices, freeOn(node));
        expect(freed).toBeGreaterThanOrEqual(devices);
        for (const victim of victims) expect(freed - victim.devices, "every victim is needed").toBeLessThan(devices);
      }),
      { numRuns: 300 },
    );
  });
});
