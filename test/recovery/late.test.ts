import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";

/* A control plane that comes late, as on a machine that does much else, and finds everything as it was. */

const WAIT = { timeout: 60_000, interval: 50 };
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create([{ name: "node", devices: 1 }]);
  await cluster.startScheduler();
  await cluster.startSupervisor();
});
afterAll(() => cluster.close());

const leases = async (): Promise<Record<string, string>> => {
  const { rows } = await cluster.pool.query<{ name: string; epoch: string }>(
    "SELECT name, epoch::text FROM leases WHERE (name = 'scheduler' OR name LIKE 'shard:%') AND expires_at > now()",
  );
  return Object.fromEntries(rows.map(({ name, epoch }) => [name, epoch]));
};

it("goes on leading and keeping: no node was silent, nothing is read anew, the job runs on", async () => {
  const [id] = (await cluster.submit({
    resources: { accelerators: 1 },
    env: { ENOUGH: join(cluster.dir, "enough") },
    run: ["sh", "-c", 'until [ -e "$ENOUGH" ]; do sleep 0.1; done'],
  })) as [string];
  await cluster.untilState(id, "running");
  const before = await leases();
  expect(Object.keys(before).sort()).toEqual(["scheduler", "shard:a"]);
  // as if it had stood still for longer than they last
  await cluster.pool.query("UPDATE leases SET expires_at = now() - interval '1 s'");
  expect(await leases()).toEqual({});
  await expect.poll(leases, WAIT).toEqual(before);
  const [after] = (await cluster.submit({ resources: { accelerators: 0 }, run: ["true"] })) as [string];
  expect(await cluster.untilState(after, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  writeFileSync(join(cluster.dir, "enough"), "");
  expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  const { rows } = await cluster.pool.query("SELECT kind FROM events WHERE kind LIKE '%unreachable' OR kind LIKE 'node.suspect%' OR kind = 'node.lost'");
  expect(rows).toEqual([]);
});
