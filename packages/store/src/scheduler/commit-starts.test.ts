import { setTimeout as delay } from "node:timers/promises";
import { makeId } from "@muster/model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ensureCluster } from "../cluster.ts";
import { takeLease } from "../leases.ts";
import { createPool, transaction, type Pool } from "../pool.ts";
import { ensurePartitions } from "../retention.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { commitStarts } from "./commit-starts.ts";

const IDS = Array.from({ length: 50 }, (_, i) => makeId("job", Date.now(), new Uint8Array(10).fill(i)));

let db: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  db = await testDatabase();
  pool = createPool(db.url, "test", { max: 2, genericPlans: true });
  const { incarnation } = await ensureCluster(db.pool);
  await ensurePartitions(db.pool, Date.now());
  await db.pool.query("INSERT INTO projects (name) VALUES ('p')");
  await db.pool.query("INSERT INTO queues (name) VALUES ('q')");
  await db.pool.query("INSERT INTO shards (name, engine) VALUES ('s', 'local')");
  await db.pool.query("INSERT INTO pools (name, engine, vendor, accelerator) VALUES ('cpus', 'local', 'none', 'cpu')");
  await db.pool.query("INSERT INTO nodes (name, pool, shard, devices, cpus, memory) VALUES ('n', 'cpus', 's', 0, 100000, 100000)");
  await db.pool.query(
    `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at)
      SELECT id, 'p', 'q', 'j', 'me', 0, 'normal', true, 1, 1, 'queued', $1, now() FROM unnest($2::text[]) AS id`,
    [incarnation, IDS],
  );
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

it("opens a whole batch while its lease is being renewed", async () => {
  const lease = await takeLease(db.pool, "scheduler", "me", 60);
  if (!lease) throw new Error("someone else holds the lease");
  const starts = IDS.map((job, i) => ({
    job,
    expected: { attempt: 0, version: 1 },
    variant: 0,
    rendezvous: { address: "127.0.0.1", port: 1000 + i },
    workers: [{ role: "worker", nodeRank: 0, firstRank: 0, ranks: 1, node: "n", shard: "s", devices: [], share: 1000, cpus: 100, memory: 100 }],
    why: "it fits",
    locality: 1,
  }));
  const committed = await transaction(db.pool, async (renewal) => {
    await renewal.query("UPDATE leases SET expires_at = now() + interval '90 s'");
    const result = commitStarts(pool, lease, "me", starts);
    await waitsForALock();
    return { result };
  });
  const { opened, closedNodes } = await committed.result;
  expect(closedNodes).toEqual([]);
  expect([...opened.keys()].sort()).toEqual([...IDS].sort());
  const { rows } = await db.pool.query("SELECT cpus FROM node_usage");
  expect(rows).toEqual([{ cpus: 5000 }]);
});

async function waitsForALock(): Promise<void> {
  for (let tries = 0; tries < 1000; tries++, await delay(10)) {
    const { rows } = await db.pool.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");
    if (rows.length > 0) return;
  }
  throw new Error("nothing waits");
}
