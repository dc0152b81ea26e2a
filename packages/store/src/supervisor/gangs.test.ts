import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { putNode } from "../api/nodes.ts";
import { transaction } from "../pool.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { lockGangs } from "./gangs.ts";
import { putRunningJob, putTestPool } from "./test-job.ts";

const JOB = "job_00000000000000000000000001";
let db: TestDatabase;
let incarnation: string;

beforeAll(async () => {
  db = await testDatabase();
  incarnation = await putTestPool(db.pool, "h100");
  const node = { name: "a", pool: "h100", shard: "s", fabric: ["z"], devices: 8, deviceMemory: 80, cpuMillis: 8000, memory: 1000, address: "", labels: {} };
  await transaction(db.pool, (client) => putNode(client, node));
  await putRunningJob(db.pool, JOB, incarnation, "a");
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
