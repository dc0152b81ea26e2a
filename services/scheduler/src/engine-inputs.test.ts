import { resolveJobSpec, type ResolvedJobSpec } from "@muster/model";
import { createEngine } from "@muster/placement";
import { queueInput, specInput, type NodeRow, type PoolRow, type SchedulingJobRow } from "@muster/store";
import { expect, test } from "vitest";
import { jobInput, nodeInput, poolInput, refusedInput, START_AFTER } from "./engine-inputs.ts";

const pool: PoolRow = {
  name: "p",
  accelerator: "h800",
  spec: { fabric_levels: ["spine", "leaf"], ownership: "leased", price_per_device_hour: 2, lease_end: "2030-01-01T00:00:00Z" },
};
const node: NodeRow = {
  name: "n",
  pool: "p",
  shard: "s",
  fabric: ["s1", "l1"],
  devices: 2,
  cpus: 64_000,
  memory: 1 << 30,
  address: "127.0.0.1",
  health: "ready",
  health_reason: null,
  schedulable: true,
  reachable: true,
};
const row: SchedulingJobRow = {
  id: "job_1",
  project: "default",
  queue: "q",
  priority: 7,
  preemptible: true,
  array_id: null,
  array_index: null,
  array_limit: null,
  state: "queued",
  incarnation: "1",
  attempt: 0,
  variant: null,
  unmet_dependencies: 0,
  dependency_never: false,
  not_before: null,
  not_before_reason: null,
  wait_reason: null,
  wait_since: null,
  excluded_nodes: [],
  submitted_at: new Date(1000),
  started_at: null,
  finished_at: null,
  ran_seconds: 0,
  version: 1,
  held_now: 0,
  held_before: 0,
  attempt_started_at: null,
  rendezvous_address: null,
  rendezvous_port: null,
  last_nodes: null,
  checkpointed_at: null,
  resolved: null,
};

function resolved(spec: Record<string, unknown>): ResolvedJobSpec {
  const result = resolveJobSpec({ name: "j", run: ["x"], ...spec });
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.value;
}

test("a pool, its nodes' place in the fabric, and what is in use of them", () => {
  expect(poolInput(pool)).toEqual({ id: "p", ownership: "leased", price: 2, leaseEnd: Date.parse("2030-01-01T00:00:00Z") });
  expect(nodeInput(node, pool, [])).toEqual({
    id: "n",
    pool: "p",
    accelerator: "h800",
    devices: 2,
    cpuMillis: 64_000,
    memoryBytes: 1 << 30,
    fabric: { spine: "s1", leaf: "l1" },
    schedulable: true,
  });
  const left = { node: "n", devices: [1], share: 400, cpus: 10, memory: 20 };
  expect(nodeInput(node, pool, [left, left])).toMatchObject({ heldDevices: [0, 800], heldCpuMillis: 20, heldMemoryBytes: 40 });
});

test("a silent node and a cordoned one take nothing, and say why", () => {
  expect(nodeInput({ ...node, reachable: false }, pool, [])).toMatchObject({ schedulable: false, health: "unreachable" });
  expect(nodeInput({ ...node, schedulable: false, health: "cordoned", health_reason: "fan" }, pool, [])).toMatchObject({
    schedulable: false,
    health: "cordoned: fan",
  });
});

test("a node on probation is placed on last", () => {
  expect(nodeInput({ ...node, health: "probation", health_reason: "repaired" }, pool, [])).toMatchObject({ schedulable: true, doubtful: true });
});

test("spares are for what may be told to go, and for what ran before", () => {
  const excludedOf = (part: Partial<SchedulingJobRow>): readonly string[] | undefined =>
    jobInput({ ...row, ...part }, specInput(resolved({})), { spares: ["s1", "s2"] }).excludedNodes;
  expect(excludedOf({ preemptible: false, excluded_nodes: ["n", "s2"] })).toEqual(["n", "s2", "s1"]);
  expect(excludedOf({ preemptible: true })).toBeUndefined();
  expect(excludedOf({ preemptible: false, started_at: new Date(1), excluded_nodes: ["n"] })).toEqual(["n"]);
  // it may come back there, not grow there
  expect(excludedOf({ preemptible: false, started_at: new Date(1), state: "running" })).toEqual(["s1", "s2"]);
});

test("quotas in thousandths, by accelerator model, by pool, in cpus and memory", () => {
  const input = queueInput(
    {
      name: "q",
      parent: "all",
      paused: false,
      spec: { nominal: { h800: 16, p: 8, cpus: 20, memory: 1024 }, borrow_limit: { h800: 4 }, weight: 2, order: "strict" },
    },
    [pool],
  );
  expect(input).toEqual({
    id: "q",
    parent: "all",
    weight: 2,
    order: "strict",
    paused: false,
    quotas: [
      { resource: "cpus", nominal: 20_000 },
      { resource: "accelerators", accelerator: "h800", nominal: 16_000, borrowLimit: 4000 },
      { resource: "memory", nominal: 1024 },
      { resource: "accelerators", pool: "p", nominal: 8000 },
    ],
  });
});

test("a job: what it asks, its segments in devices, its times in milliseconds", () => {
  const spec = resolved({
    nodes: 4,
    launcher: { kind: "exec", ranks_per_node: 2 },
    resources: { accelerators: 8, cpus: 1.5, memory: "1Gi" },
    accelerator: "h800",
    topology: {
      segments: [
        { ranks: 4, within: "leaf" },
        { ranks: 2, within: "domain" },
      ],
      job: { within: "spine", mode: "preferred" },
    },
    expected_duration: "1h",
    time_limit: "2h",
    checkpoint: { grace: 5 },
  });
  const input = jobInput({ ...row, ran_seconds: 600 }, specInput(spec));
  expect(input).toMatchObject({
    id: "job_1",
    queue: "q",
    priority: 7,
    submittedAt: 1000,
    roles: [{ name: "worker", nodes: { min: 4, max: 4, step: 1 }, resources: { accelerators: 8, share: 0, cpuMillis: 1500, memoryBytes: 1 << 30 } }],
    variants: [{ accelerators: ["h800"] }],
    // 4 of its 2 processes a node are two nodes, so 16 devices; 2 are on one node anyway
    segments: [{ ranks: 16, within: "leaf", mode: "required" }],
    within: { within: "spine", mode: "preferred" },
    expectedDuration: 3_000_000,
    timeLimit: 6_600_000,
    checkpoint: { grace: 5000 },
  });
  expect(Object.keys(input)).not.toContain("held");
});

test("what keeps a job from starting", () => {
  const spec = specInput(resolved({}));
  const later = new Date(99_000);
  expect(jobInput({ ...row, not_before: later, not_before_reason: START_AFTER }, spec)).toMatchObject({ startAfter: 99_000 });
  expect(jobInput({ ...row, not_before: later, not_before_reason: "back-off" }, spec, { notBefore: 5 })).toMatchObject({ backoffUntil: 99_000 });
  expect(jobInput({ ...row, state: "held" }, spec).held).toBe("user");
  expect(jobInput({ ...row, state: "recovering" }, spec).held).toBe("operator");
  expect(jobInput({ ...row, unmet_dependencies: 1 }, spec).dependency).toBe("waiting");
  expect(jobInput({ ...row, unmet_dependencies: 1, dependency_never: true }, spec).dependency).toBe("never");
  expect(jobInput(row, spec, { arrayFull: true }).dependency).toBe("waiting");
});

test("a restart keeps its variant once it ran, goes back to its nodes, and leaves out those excluded", () => {
  const spec = specInput(
    resolved({
      variants: [
        { accelerator: "h800", resources: { accelerators: 1 } },
        { accelerator: "h20", nodes: 2, resources: { accelerators: 2 } },
      ],
    }),
  );
  const again = { ...row, attempt: 1, variant: 1, last_nodes: ["a", "b", "b"], excluded_nodes: ["a"] };
  expect(jobInput(again, spec).stickyVariant).toBeUndefined();
  expect(jobInput({ ...again, started_at: new Date(5) }, spec)).toMatchObject({ stickyVariant: 1, preferredNodes: ["b"], excludedNodes: ["a"] });
  expect(spec.variants[1]).toMatchObject({ accelerators: ["h20"], roles: { worker: { nodes: { min: 2, max: 2 }, resources: { accelerators: 2 } } } });
});

test("roles on different hardware choose theirs one by one", () => {
  const spec = specInput(
    resolved({
      roles: { trainer: { accelerator: "h800", resources: { accelerators: 8 } }, rollout: { accelerator: "h20", resources: { accelerators: 4 } }, reward: {} },
    }),
  );
  expect(spec.roles.map((role) => [role.name, role.accelerators])).toEqual([
    ["trainer", ["h800"]],
    ["rollout", ["h20"]],
    ["reward", undefined],
  ]);
  expect(spec.variants).toEqual([{}]);
});

test("the engine takes what comes out, and shows a refused spec with its reason", () => {
  const engine = createEngine();
  engine.putPool(poolInput(pool));
  engine.putNode(nodeInput(node, pool, []));
  engine.putQueue(queueInput({ name: "q", parent: null, paused: false, spec: {} }, [pool]));
  engine.submit(jobInput(row, specInput(resolved({ nodes: 1, resources: { accelerators: 2 }, accelerator: "h800" }))));
  engine.submit(refusedInput({ ...jobInput({ ...row, id: "job_2" }, specInput(resolved({}))) }, "segments: do not fit together"));
  expect(engine.cycle(2000).starts).toMatchObject([{ job: "job_1", members: [{ node: "n", devices: [0, 1] }] }]);
  expect(engine.explain("job_2")).toMatchObject({ reason: "invalid", message: "segments: do not fit together" });
});
