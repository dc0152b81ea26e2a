import { SILENCE_LIMITS } from "@muster/lifecycle";
import { poolSpec } from "@muster/model";
import { ensureCluster, ensureShard, putNode, putPool, readBrake, reportHealth, takeLease, transaction, type Pool } from "@muster/store";
import { testDatabase } from "@muster/store/testing";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SilenceWatch } from "./silence-watch.ts";

const NAMES = ["n0", "n1", "n2", "n3", "n4", "n5"];
const WAIT = { timeout: 30_000, interval: 20 };

let database: Awaited<ReturnType<typeof testDatabase>>;
let pool: Pool;
let watch: SilenceWatch;

beforeAll(async () => {
  database = await testDatabase();
  ({ pool } = database);
  await ensureCluster(pool);
  await putPool(pool, poolSpec.parse({ name: "h800", vendor: "nvidia", accelerator: "h800" }));
  for (const name of NAMES) {
    await ensureShard(pool, name, "local");
    await putNode(pool, {
      name,
      pool: "h800",
      shard: name,
      fabric: ["z", "s", name],
      devices: 8,
      deviceMemory: 0,
      cpuMillis: 1000,
      memory: 1024,
      address: "127.0.0.1",
      labels: {},
    });
    await takeLease(pool, `shard:${name}`, "test", 3600);
  }
  watch = new SilenceWatch({ pool, logger: pino({ level: "silent" }), holder: "test", limits: { ...SILENCE_LIMITS, suspect: 100, lost: 200 } });
});
afterAll(() => database.drop());

const lost = async (): Promise<string[]> =>
  (await pool.query<{ name: string }>("SELECT name FROM nodes WHERE lost_since IS NOT NULL ORDER BY name")).rows.map(({ name }) => name);
const braked = async (): Promise<boolean> => {
  await watch.round();
  return (await readBrake(pool)).since !== null;
};

it("under the brake only those are declared that a check calls dead, until too few are left to wonder about", async () => {
  // all fell silent an hour ago, at once
  await pool.query("UPDATE shards SET last_seen = now() - interval '1 h'");
  await expect.poll(braked, WAIT).toBe(true);
  expect(await lost()).toEqual([]);
  const dead = (name: string): Promise<boolean> =>
    transaction(pool, (client) => reportHealth(client, name, { status: "fatal", check: "bmc", message: "power is off" }, "rack"));
  await dead("n0");
  await expect.poll(async () => (await braked(), lost()), WAIT).toEqual(["n0"]);
  expect(await braked()).toBe(true);
  // the quarantine has room for one alone: what a check says still counts
  await dead("n1");
  await expect.poll(braked, WAIT).toBe(false);
  // what is left are four that fell silent, which are nobody's mass
  await expect.poll(async () => (await braked(), lost()), WAIT).toEqual(NAMES);
});
