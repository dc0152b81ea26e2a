import type { NodeView, OverviewView } from "@muster/model";
import { JOB_STATES } from "@muster/model";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { actionsOf, atLeast, JOB_ACTIONS, roleIn } from "./actions.ts";
import { eventLook, eventSummary } from "./events.ts";
import { filterNodes, sortNodes } from "./nodes.ts";
import { gangSizes, verdictOf } from "./overview.ts";
import { JOB_LOOK, workerLook } from "./words.ts";
import { toYaml } from "./yaml.ts";

describe("actions", () => {
  const place = (state: (typeof JOB_STATES)[number]) => actionsOf({ state, stopping: null });
  test("fit the state", () => {
    expect(place("running")).toEqual(["checkpoint", "suspend", "requeue", "priority", "cancel"]);
    expect(place("held")).toEqual(["release", "suspend", "priority", "cancel"]);
    expect(place("suspended")).toContain("resume");
    expect(place("succeeded")).toEqual([]);
  });
  test("each has words for what it does", () => {
    for (const state of JOB_STATES) for (const action of place(state)) expect(JOB_ACTIONS[action].effect).not.toBe("");
  });
  test("need a role in the job's project", () => {
    const me = { role: "viewer", project: null, projects: { speech: "operator" } } as const;
    expect([roleIn(me, "speech"), roleIn(me, "other"), roleIn(undefined, "speech")]).toEqual(["operator", "viewer", "viewer"]);
    expect(roleIn({ role: "admin", project: "speech", projects: {} }, "other")).toBe("viewer");
    expect([atLeast("operator", "submitter"), atLeast("viewer", "submitter")]).toEqual([true, false]);
  });
});

describe("states", () => {
  test("differ by shape and word wherever colours could be confused", () => {
    const looks = Object.values(JOB_LOOK);
    expect(new Set(looks.map((look) => look.label)).size).toBe(JOB_STATES.length);
    const failed = looks.filter((look) => look.shape === JOB_LOOK.failed.shape);
    expect(failed).toHaveLength(1);
  });
  test("of a worker tell a kill that was asked for from one that was not", () => {
    const killed = { state: "exited", exit_code: null, signal: "SIGKILL" } as const;
    expect(workerLook({ ...killed, desired: "run" })).toMatchObject({ label: "SIGKILL", tone: "bad" });
    expect(workerLook({ ...killed, desired: "kill" })).toMatchObject({ label: "Stopped", tone: "quiet" });
    expect(workerLook({ state: "exited", exit_code: 0, signal: null, desired: "run" }).tone).toBe("done");
  });
});

describe("the verdict", () => {
  const well: OverviewView = {
    as_of: "2026-01-01T00:00:00Z",
    jobs: { running: 3 },
    waiting: { jobs: 0, devices: 0, oldest_since: null, by_reason: {} },
    pools: [],
    broken_nodes: [],
    open_incidents: [],
    failures_24h: {},
    top_jobs: [],
    control_plane: {
      scheduler: { leader: "a", cycle_ms: 1, lag_ms: 1 },
      shards: [{ name: "s", reachable: true, last_seen: null }],
      incarnation: "1",
      starts_paused: null,
    },
  };
  test("is calm when all is well", () => expect(verdictOf(well)).toMatchObject({ tone: "run", points: [] }));
  test("warns of what can wait, cries for what can't", () => {
    expect(verdictOf({ ...well, jobs: { recovering: 1 } })).toMatchObject({ tone: "warn", points: ["1 job recovering"] });
    const waiting = { jobs: 3, devices: 24, oldest_since: null, by_reason: { exceeds_topology: 2, insufficient_capacity: 1 } };
    expect(verdictOf({ ...well, waiting })).toMatchObject({ tone: "warn", points: ["2 waiting jobs can't start as the cluster is"] });
    const silent = { ...well.control_plane, scheduler: { leader: null, cycle_ms: null, lag_ms: null } };
    expect(verdictOf({ ...well, control_plane: silent, jobs: { recovering: 2 } })).toMatchObject({
      tone: "bad",
      points: ["no scheduler leads", "2 jobs recovering"],
    });
  });
});

test("gangs are told in devices, the loosest first", () => {
  const pool = {
    largest_gang: [
      { segment: 8, nodes: 8 },
      { segment: 1, nodes: 21 },
    ],
    nodes: { total: 64, healthy: 64, schedulable: 60 },
    devices: { total: 512, healthy: 512, schedulable: 480, held: 0 },
  };
  expect(gangSizes(pool)).toEqual([
    { segment: 1, nodes: 21, devices: 168 },
    { segment: 8, nodes: 8, devices: 64 },
  ]);
});

describe("nodes", () => {
  const node = (name: string, part: Partial<NodeView> = {}): NodeView => ({
    name,
    pool: "p",
    shard: "p",
    vendor: "nvidia",
    accelerator: "h800",
    fabric: ["z", "leaf-3"],
    address: "",
    devices: 2,
    held: [0, 0],
    cpus: 1,
    cpus_held: 0,
    memory: 1,
    memory_held: 0,
    labels: {},
    health: "ready",
    health_reason: null,
    health_actor: null,
    health_since: "2026-01-01T00:00:00Z",
    drain_deadline: null,
    schedulable: true,
    reachable: true,
    last_seen: null,
    jobs: [],
    version: 1,
    ...part,
  });
  const nodes = [
    node("n-10"),
    node("n-2", { held: [1000, 250], jobs: ["job_1"] }),
    node("n-3", { health: "cordoned", schedulable: false }),
    node("n-4", { reachable: false }),
  ];
  test("are filtered", () => {
    const names = (search: Parameters<typeof filterNodes>[1]): string[] => filterNodes(nodes, search).map((item) => item.name);
    expect(names({ show: "broken" })).toEqual(["n-3", "n-4"]);
    expect(names({ show: "free" })).toEqual(["n-10", "n-4"]);
    expect(names({ show: "busy" })).toEqual(["n-2"]);
    expect(names({ name: "LEAF-3", health: "cordoned" })).toEqual(["n-3"]);
    expect(names({ name: "job_1" })).toEqual(["n-2"]);
    expect(names({ pool: "q" })).toEqual([]);
  });
  test("come worst first, then by number", () => expect(sortNodes(nodes).map((item) => item.name)).toEqual(["n-4", "n-3", "n-2", "n-10"]));
});

test("events are summed up by what says most", () => {
  expect(eventSummary({ nodes: ["a", "b", "c", "d"], why: "it fits", attempt: 1, locality: 0.5, held: false, ok: true, backoff: 0, deep: { x: 1 } })).toBe(
    "it fits · nodes a, b, c +1 · ok",
  );
  const shape = (kind: string, data = {}): string => eventLook({ kind, data }).shape;
  expect([
    shape("attempt.ended", { outcome: "failed" }),
    shape("job.queued", { outcome: "failed" }),
    shape("checkpoint.accepted"),
    shape("node.cordon"),
    shape("node.uncordon"),
    shape("quite.new"),
  ]).toEqual(["cross", "ring", "check", "triangle", "check", "ring"]);
});

test("a spec reads as YAML, command lines on one line, and says the same", async () => {
  const spec = { run: ["python", "-c", "x: 1"], name: "a-b", none: [], env: { N: "8", OFF: "no", S: "a\nb\n" }, variants: [{ pool: "h800" }] };
  const text = await toYaml(spec);
  expect(text).toContain('run: [python, -c, "x: 1"]\n');
  expect(text.startsWith("name: a-b\nrun: ")).toBe(true);
  expect(parse(text)).toEqual(spec);
});
