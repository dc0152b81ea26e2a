import { poolSpec } from "@muster/model";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { ensureShard, putNode } from "../api/nodes.ts";
import { putPool } from "../api/pools.ts";
import { ensureCluster } from "../cluster.ts";
import { transaction } from "../pool.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { lockGangs } from "./gangs.ts";

const JOB = "job_00000000000000000000000001";
let db: TestDatabase;
let incarnation: string;

beforeAll(async () => {
  db = await testDatabase();
  incarnation = (await ensureCluster(db.pool)).incarnation;
  await db.pool.query("INSERT INTO projects (name) VALUES ('p')");
  await db.pool.query("INSERT INTO queues (name, projects) VALUES ('q', '{p}')");
  await putPool(db.pool, poolSpec.parse({ name: "h100", vendor: "nvidia", accelerator: "h100" }));
  await ensureShard(db.pool, "s", "local");
  await db.pool.query("UPDATE shards SET reachable = true");
  const node = { name: "a", pool: "h100", shard: "s", fabric: ["z"], devices: 8, deviceMemory: 80, cpuMillis: 8000, memory: 1000, address: "", labels: {} };
  await transaction(db.pool, (client) => putNode(client, node));
  await db.pool.query("UPDATE nodes SET reachable = true");
  await db.pool.query(
    `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at, attempt)
     VALUES ($1, 'p', 'q', 'j', 'me', 0, 'normal', true, 1, 8, 'running', $2, now(), 1)`,
    [JOB, incarnation],
  );
  await db.pool.query("INSERT INTO job_specs (job, submitted, resolved) VALUES ($1, '{}', '{}')", [JOB]);
  await transaction(db.pool, async (client) => {
    await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, 1, 1, 0)", [JOB, incarnation]);
    await client.query(
      `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory, state)
       VALUES ($1, $2, 1, 'worker/0', 'worker', 0, 0, 1, 'a', 's', '{0,1,2,3,4,5,6,7}', 1000, 1000, 10, 'running')`,
      [JOB, incarnation],
    );
  });
});
afterAll(() => db.drop());
beforeEach(async () => {
  await db.pool.query("DELETE FROM checkpoints");
  await db.pool.query("UPDATE job_specs SET resolved = '{}'");
});

const supersedes = async (): Promise<boolean | undefined> =>
  (await transaction(db.pool, (client) => lockGangs(client, [{ job: JOB, incarnation, attempt: 1 }])))[0]?.supersedes;
async function commit(step: number, outcome: { sealed?: string; error?: string }): Promise<void> {
  await db.pool.query(
    `INSERT INTO checkpoints (job, incarnation, attempt, generation, step, path, worker, sealed_path, sealed_at, seal_error)
     VALUES ($1, $2, 1, 0, $3, '/c', 'worker/0', $4, CASE WHEN $4::text IS NOT NULL THEN now() END, $5)`,
    [JOB, incarnation, step, outcome.sealed ?? null, outcome.error ?? null],
  );
}

it("goes on without workers that can't be reached, unless its commits can't be put beyond their reach", async () => {
  expect(await supersedes()).toBe(true);
  await commit(1, { error: "shard east has no checkpoints volume" });
  expect(await supersedes()).toBe(false);
  await commit(2, { sealed: "/committed/2-2" });
  expect(await supersedes()).toBe(true);
});

it.each([
  ["wait", false],
  ["supersede", true],
] as const)("does as the job says where it says partition: %s", async (partition, expected) => {
  await db.pool.query("UPDATE job_specs SET resolved = $1", [{ recovery: { partition } }]);
  await commit(1, { error: "no volume" });
  expect(await supersedes()).toBe(expected);
});
