import { poolSpec } from "@muster/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureShard, putNode } from "../api/nodes.ts";
import { putPool } from "../api/pools.ts";
import { ensureCluster, newIncarnation, readCluster } from "../cluster.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { setShardReported, unpauseStarts } from "./shards.ts";

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await ensureCluster(db.pool);
  await putPool(db.pool, poolSpec.parse({ name: "p", vendor: "nvidia", accelerator: "h800" }));
  for (const shard of ["here", "gone"]) {
    await ensureShard(db.pool, shard, "local");
    await putNode(db.pool, {
      name: `${shard}-1`,
      pool: "p",
      shard,
      fabric: [],
      devices: 1,
      deviceMemory: 0,
      cpuMillis: 1000,
      memory: 1,
      address: "127.0.0.1",
      labels: {},
    });
  }
});
afterAll(() => db.drop());

test("in a new incarnation starts wait for every shard, reached or not, until its nodes are deleted", async () => {
  const incarnation = await newIncarnation(db.pool, "test");
  expect(await unpauseStarts(db.pool)).toBe(false);
  await setShardReported(db.pool, "here", incarnation);
  expect(await unpauseStarts(db.pool)).toBe(false);
  await db.pool.query("DELETE FROM nodes WHERE name = 'gone-1'");
  expect(await unpauseStarts(db.pool)).toBe(true);
  expect(await readCluster(db.pool)).toMatchObject({ starts_paused: false, starts_paused_reason: null });
});
