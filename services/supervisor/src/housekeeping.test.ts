import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DirectoryLogStore } from "@muster/logs";
import { idFloor } from "@muster/model";
import { ensureCluster, putSettings } from "@muster/store";
import { testDatabase, type TestDatabase } from "@muster/store/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { housekeeping } from "./housekeeping.ts";

const DAY = 86_400_000;
let db: TestDatabase;
let dir: string;
let logs: DirectoryLogStore;
beforeAll(async () => {
  db = await testDatabase();
  dir = mkdtempSync(join(tmpdir(), "muster-housekeeping-"));
  logs = new DirectoryLogStore(dir);
  const { incarnation } = await ensureCluster(db.pool);
  await db.pool.query("INSERT INTO projects (name) VALUES ('default')");
  await db.pool.query("INSERT INTO queues (name) VALUES ('default')");
  for (const age of [1, 40]) {
    const at = new Date(Date.now() - age * DAY);
    await db.pool.query(
      `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at, finished_at)
        VALUES ($1, 'default', 'default', $2, 'test', 0, 'normal', true, 1, 0, 'succeeded', $3, $4, $4)`,
      [idFloor("job", at.getTime()), `${age} days old`, incarnation, at],
    );
  }
  await logs.append("job/log", 0, Buffer.from("kept output\n"));
});
afterAll(async () => {
  await logs.close();
  await db.drop();
  rmSync(dir, { recursive: true, force: true });
});

const tidy = async () => {
  for (const check of housekeeping(db.pool, logs)) await check.run();
};
const left = async () => [
  (await db.pool.query<{ name: string }>("SELECT name FROM jobs ORDER BY id DESC")).rows.map((row) => row.name),
  await logs.size("job/log"),
];

test("by default nothing of the last months goes", async () => {
  await tidy();
  expect(await left()).toEqual([["1 days old", "40 days old"], 12]);
});

test("the settings say how long finished jobs are kept, and how much output", async () => {
  await putSettings(db.pool, { retention: { jobs: (30 * DAY) / 1000, logs_total: 0 } });
  await tidy();
  expect(await left()).toEqual([["1 days old"], 0]);
});
