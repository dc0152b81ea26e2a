import type { NodeHealth } from "@muster/model";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { putNode, setNodeHealth } from "../api/nodes.ts";
import { transaction } from "../pool.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { lockStandbys, readComebacks, readStandbys } from "./comebacks.ts";
import { forgiveNodes, readForgiving } from "./excluded.ts";
import { readUnsettled } from "./gangs.ts";
import { putRunningJob, putTestPool } from "./test-job.ts";

const JOB = "job_00000000000000000000000001";
let db: TestDatabase;
let incarnation: string;

beforeAll(async () => {
  db = await testDatabase();
  incarnation = await putTestPool(db.pool, "h800");
  for (const [name, fabric] of [
    ["a1", ["z", "a"]],
    ["a2", ["z", "a"]],
    ["b1", ["z", "b"]],
  ] as const)
    await transaction(db.pool, (client) =>
      putNode(client, {
        name,
        pool: "h800",
        shard: "s",
        fabric: [...fabric],
        devices: 8,
        deviceMemory: 80,
        cpuMillis: 64_000,
        memory: 1000,
        address: "10.0.0.1",
        labels: {},
      }),
    );
  await putRunningJob(db.pool, JOB, incarnation, "a1");
});
afterAll(() => db.drop());
beforeEach(() => db.pool.query("DELETE FROM windows"));

/** From so many minutes on, for an hour. */
async function putWindow(minutes: number, spec: object): Promise<void> {
  await db.pool.query(
    "INSERT INTO windows (name, starts_at, ends_at, spec) VALUES ('repair', now() + make_interval(mins => $1), now() + make_interval(mins => $1 + 60), $2)",
    [minutes, { nodes: [], block: [], jobs: [], queues: [], ...spec }],
  );
}
const standbys = async (): Promise<string[]> => (await readStandbys(db.pool, ["h800"])).map(({ node }) => node).sort();
const out = async (): Promise<string | null | undefined> => (await readComebacks(db.pool, [{ job: JOB, incarnation, attempt: 1 }])).places[0]?.out;

describe("what may stand in for a node", () => {
  it("is no node of a window that is not over, however it names its nodes", async () => {
    expect(await standbys()).toEqual(["a1", "a2", "b1"]);
    for (const [spec, left] of [
      [{ nodes: ["a2"] }, ["a1", "b1"]],
      [{ pool: "h800", block: ["z", "a"] }, ["b1"]],
      [{ pool: "h800" }, []],
      [{ pool: "other" }, ["a1", "a2", "b1"]],
    ] as const) {
      await putWindow(30, spec);
      expect(await standbys()).toEqual(left);
      expect((await transaction(db.pool, (client) => lockStandbys(client, ["a1", "a2", "b1"]))).map(({ node }) => node).sort()).toEqual(left);
      await db.pool.query("DELETE FROM windows");
    }
    await putWindow(-90, { pool: "h800" });
    expect(await standbys()).toEqual(["a1", "a2", "b1"]);
  });
});

describe("a place of the attempt that failed", () => {
  it("is out once a window has begun there that isn't the job's", async () => {
    await putWindow(30, { nodes: ["a1"] });
    expect(await out()).toBeNull();
    await db.pool.query("DELETE FROM windows");
    for (const spec of [{ jobs: [JOB] }, { queues: ["q"] }]) {
      await putWindow(-5, { nodes: ["a1"], ...spec });
      expect(await out()).toBeNull();
      await db.pool.query("DELETE FROM windows");
    }
    await putWindow(-5, { nodes: ["a1"] });
    expect(await out()).toBe("in window repair");
  });
});

describe("a node that a job leaves out", () => {
  const excluded = async (): Promise<string[]> =>
    (await db.pool.query<{ nodes: string[] }>("SELECT excluded_nodes AS nodes FROM jobs WHERE id = $1", [JOB])).rows[0]?.nodes ?? [];
  const health = async (a2: NodeHealth, b1: NodeHealth) => {
    await setNodeHealth(db.pool, "a2", a2, "test", "test", null);
    await setNodeHealth(db.pool, "b1", b1, "test", "test", null);
  };

  it("may be had again once it is in order, and not before", async () => {
    await db.pool.query("UPDATE jobs SET excluded_nodes = '{a2,b1,gone}'");
    for (const [a2, b1] of [
      ["suspect", "cordoned"],
      ["diagnosing", "retired"],
    ] as const) {
      await health(a2, b1);
      expect(await readForgiving(db.pool)).toEqual([]);
      expect(await forgiveNodes(db.pool, [{ job: JOB }])).toEqual([]);
    }
    await health("suspect", "probation");
    expect(await readForgiving(db.pool)).toEqual([{ job: JOB }]);
    expect(await forgiveNodes(db.pool, [{ job: JOB }])).toEqual([{ job: JOB, project: "p", nodes: ["b1"] }]);
    expect(await excluded()).toEqual(["a2", "gone"]);
    await health("ready", "ready");
    expect(await forgiveNodes(db.pool, [{ job: JOB }])).toEqual([{ job: JOB, project: "p", nodes: ["a2"] }]);
    expect(await excluded()).toEqual(["gone"]);
  });

  it("is not had again where it was on probation when the job broke, until it is proven", async () => {
    await health("probation", "cordoned");
    await db.pool.query("UPDATE jobs SET excluded_nodes = '{a2}'");
    await db.pool.query("UPDATE attempts SET state = 'ended', outcome = 'failed', ended_at = now()");
    expect(await readForgiving(db.pool)).toEqual([]);
    expect(await forgiveNodes(db.pool, [{ job: JOB }])).toEqual([]);
    await health("ready", "ready");
    expect(await forgiveNodes(db.pool, [{ job: JOB }])).toMatchObject([{ nodes: ["a2"] }]);
    await db.pool.query("UPDATE attempts SET state = 'running', outcome = NULL, ended_at = NULL");
  });
});

it("a job that holds its nodes is looked at when its time has come, and where something has changed", async () => {
  const unsettled = async (within: number): Promise<number> => (await readUnsettled(db.pool, 10, within)).length;
  const due = (state: string, seconds: number) =>
    db.pool.query("UPDATE jobs SET state = $1, holding_since = now(), due_at = now() + make_interval(secs => $2)", [state, seconds]);
  await due("recovering", 600);
  expect([await unsettled(0), await unsettled(700)]).toEqual([0, 1]);
  await due("recovering", -1);
  expect(await unsettled(0)).toBe(1);
  // of what runs that is its time limit
  await due("running", 600);
  expect(await unsettled(700)).toBe(0);
});
