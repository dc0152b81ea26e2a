import { poolSpec } from "@muster/model";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ensureShard } from "../api/nodes.ts";
import { putPool } from "../api/pools.ts";
import { ensureCluster } from "../cluster.ts";
import { transaction } from "../pool.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { recordDiscovered, recordGone, readShardNodes, welcomeNodes, type DiscoveryChange, type DiscoveredRow } from "./discovered.ts";

let db: TestDatabase;
let incarnation: string;
let jobs = 0;

beforeAll(async () => {
  db = await testDatabase();
  incarnation = (await ensureCluster(db.pool)).incarnation;
  await db.pool.query("INSERT INTO projects (name) VALUES ('p')");
  await db.pool.query("INSERT INTO queues (name, projects) VALUES ('q', '{p}')");
  for (const name of ["h100", "other"])
    await putPool(db.pool, poolSpec.parse({ name, engine: "kubernetes", vendor: "nvidia", accelerator: "h100", runtime: { image: "any" } }));
  for (const name of ["east", "west"]) await ensureShard(db.pool, name, "kubernetes");
  await db.pool.query("UPDATE shards SET reachable = true");
});
afterAll(() => db.drop());
beforeEach(async () => {
  await db.pool.query("UPDATE workers SET state = 'exited', exit_code = 0, ended_at = now(), released = true");
  await db.pool.query("DELETE FROM nodes");
});

const shown = (name: string, more: Partial<DiscoveredRow> = {}): DiscoveredRow => ({
  name,
  pool: "h100",
  fabric: ["z", "r1"],
  devices: 8,
  deviceMemory: 80,
  cpuMillis: 64_000,
  memory: 1000,
  address: "10.0.0.1",
  labels: { gpu: "h100" },
  unfit: null,
  answers: true,
  ...more,
});
const record = (...nodes: DiscoveredRow[]): Promise<DiscoveryChange[]> => transaction(db.pool, (client) => recordDiscovered(client, "east", nodes));
const gone = (...names: string[]): Promise<string[]> => transaction(db.pool, (client) => recordGone(client, "east", names));
const welcome = async (): Promise<string[]> => (await transaction(db.pool, (client) => welcomeNodes(client, "east"))).map(({ name }) => name);
const node = async (name: string): Promise<Record<string, unknown>> =>
  (await db.pool.query<Record<string, unknown>>("SELECT *, away_since IS NOT NULL AS away FROM nodes WHERE name = $1", [name])).rows[0] ?? {};
const kinds = (changes: DiscoveryChange[]): string[] => changes.map(({ name, kind, reason }) => `${name} ${kind}${reason === null ? "" : `: ${reason}`}`);

/** A running job of one worker that holds the first devices of a node. */
async function work(where: string, devices: number): Promise<string> {
  const id = `job_${String(jobs++).padStart(26, "0")}`;
  await transaction(db.pool, async (client) => {
    await client.query(
      `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at, attempt)
       VALUES ($1, 'p', 'q', 'j', 'me', 0, 'normal', true, 1, $3, 'running', $2, now(), 1)`,
      [id, incarnation, devices],
    );
    await client.query("INSERT INTO job_specs (job, submitted, resolved) VALUES ($1, '{}', '{}')", [id]);
    await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, 1, 1, 0)", [id, incarnation]);
    await client.query(
      `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory, state)
       VALUES ($1, $2, 1, 'worker/0', 'worker', 0, 0, 1, $3, 'east', $4, 1000, 100, 10, 'running')`,
      [id, incarnation, where, Array.from({ length: devices }, (_, index) => index)],
    );
  });
  return id;
}

describe("nodes as their cluster shows them", () => {
  it("are registered once, and what is as before is no change", async () => {
    expect(kinds(await record(shown("b"), shown("a")))).toEqual(["a registered", "b registered"]);
    const { version } = await node("a");
    expect(await record(shown("a"), shown("b"))).toEqual([]);
    expect(await node("a")).toMatchObject({ pool: "h100", shard: "east", fabric: ["z", "r1"], devices: 8, reachable: true, health: "ready", version });
  });

  it("follow what changes of them, but are none of another shard's", async () => {
    await record(shown("a"));
    await record(shown("a", { devices: 6, fabric: ["z", "r2"] }));
    expect(await node("a")).toMatchObject({ devices: 6, fabric: ["z", "r2"] });
    await transaction(db.pool, (client) => recordDiscovered(client, "west", [shown("a", { devices: 1, unfit: "not theirs", answers: false })]));
    expect(await node("a")).toMatchObject({ shard: "east", devices: 6, health: "ready", away: false });
    expect(await readShardNodes(db.pool, "west")).toEqual([]);
  });

  it("keep the devices that work holds, and their pool, until it has ended", async () => {
    await record(shown("a"));
    await work("a", 5);
    await record(shown("a", { devices: 2, pool: "other" }));
    expect(await node("a")).toMatchObject({ devices: 5, pool: "h100" });
    await db.pool.query("UPDATE workers SET state = 'exited', exit_code = 0, ended_at = now(), released = true");
    await record(shown("a", { devices: 2, pool: "other" }));
    expect(await node("a")).toMatchObject({ devices: 2, pool: "other" });
  });

  it("are cordoned with the cluster's reason and opened when it is gone; a person's cordon stays", async () => {
    await record(shown("a"));
    expect(kinds(await record(shown("a", { unfit: "cordoned in Kubernetes" })))).toEqual(["a cordon: cordoned in Kubernetes"]);
    expect(await node("a")).toMatchObject({ health: "cordoned", health_actor: "kubernetes", schedulable: false });
    expect(kinds(await record(shown("a", { unfit: "DiskPressure" })))).toEqual(["a cordon: DiskPressure"]);
    expect(kinds(await record(shown("a")))).toEqual(["a uncordon"]);
    expect(await node("a")).toMatchObject({ health: "ready", health_reason: null, schedulable: true });
    await db.pool.query("UPDATE nodes SET health = 'cordoned', health_actor = 'ann', health_reason = 'a fan', schedulable = false");
    expect(await record(shown("a", { unfit: "cordoned in Kubernetes" }))).toEqual([]);
    expect(await record(shown("a"))).toEqual([]);
    expect(await node("a")).toMatchObject({ health: "cordoned", health_actor: "ann", health_reason: "a fan" });
  });

  it("that no kubelet is heard of are away, and back when it is", async () => {
    await record(shown("a"));
    expect(kinds(await record(shown("a", { answers: false })))).toEqual(["a away"]);
    expect(await record(shown("a", { answers: false }))).toEqual([]);
    expect(kinds(await record(shown("a")))).toEqual(["a back"]);
  });

  it("that left the cluster are forgotten; one with work is away until the work has ended", async () => {
    await record(shown("a"), shown("b"));
    await work("b", 1);
    expect(await gone("a", "b", "never-was")).toEqual(["a"]);
    expect(await node("a")).toEqual({});
    expect(await node("b")).toMatchObject({ away: true });
    await db.pool.query("UPDATE workers SET state = 'lost', ended_at = now(), released = true");
    expect(await gone("b")).toEqual(["b"]);
  });

  it("that were lost and are heard of again take work only when nothing old lives there", async () => {
    await record(shown("a"), shown("b"), shown("c"));
    const old = await work("a", 1);
    await db.pool.query("UPDATE nodes SET reachable = false, lost_since = now()");
    // an attempt later: what runs on the node is of an attempt that is over
    await transaction(db.pool, (client) => client.query("UPDATE jobs SET attempt = 2, state = 'queued' WHERE id = $1", [old]));
    await db.pool.query("UPDATE nodes SET away_since = now() WHERE name = 'c'");
    expect(await welcome()).toEqual(["b"]);
    expect(await node("b")).toMatchObject({ reachable: true, lost_since: null });
    await db.pool.query("UPDATE workers SET state = 'lost', ended_at = now(), released = true");
    expect(await welcome()).toEqual(["a"]);
    expect(await welcome()).toEqual([]);
    expect(await node("c")).toMatchObject({ reachable: false });
  });

  it("that silence made suspect are ready when they are heard; not while their whole shard is away", async () => {
    await record(shown("a"), shown("b"));
    await db.pool.query("UPDATE nodes SET health = 'suspect', health_actor = CASE name WHEN 'a' THEN 'silence' ELSE 'rack' END, health_reason = 'why'");
    await db.pool.query("UPDATE shards SET reachable = false WHERE name = 'east'");
    expect(await welcome()).toEqual([]);
    await db.pool.query("UPDATE shards SET reachable = true WHERE name = 'east'");
    expect(await welcome()).toEqual(["a"]);
    expect(await node("a")).toMatchObject({ health: "ready", health_reason: null, health_actor: null });
    expect(await node("b")).toMatchObject({ health: "suspect", health_actor: "rack" });
  });
});
