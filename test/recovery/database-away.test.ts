import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { migrate } from "../../packages/store/src/migrate.ts";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "../../packages/store/src/embedded-postgres.ts";
import { createPool } from "../../packages/store/src/pool.ts";
import { TestCluster } from "../support/cluster.ts";
import { descendants, isAlive, processesOf, signalAll } from "../support/processes.ts";

let server: EmbeddedPostgres;
let cluster: TestCluster;
const dir = mkdtempSync(join(tmpdir(), "muster-away-"));

beforeAll(async () => {
  server = await startEmbeddedPostgres({ dir });
  await migrate(server.url);
  const pool = createPool(server.url, "test", { max: 10 });
  cluster = await TestCluster.create([{ name: "n0" }, { name: "n1", shard: "b" }], { url: server.url, pool, drop: () => pool.end() });
  await cluster.startScheduler();
  await cluster.startSupervisor({ silence: { suspect: 3000, lost: 5000 } });
});
afterAll(async () => {
  await cluster.close();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

it("a database that hangs, and one that is killed and comes back: nothing is killed, nothing is lost", async () => {
  const [gang] = (await cluster.submit({ nodes: 2, accelerator: "h800", resources: { accelerators: 8 }, run: ["sleep", "18"] })) as [string];
  const [waiting] = (await cluster.submit({ accelerator: "h800", resources: { accelerators: 8 }, run: ["true"] })) as [string];
  await cluster.untilState(gang, "running");
  const workers = processesOf(gang);
  const processes = [server.pid, ...descendants(server.pid)];

  // longer than a node may be silent
  signalAll(processes, "SIGSTOP");
  await delay(6000);
  signalAll(processes, "SIGCONT");
  expect(workers.every(isAlive)).toBe(true);

  const port = Number(new URL(server.url).port);
  signalAll([server.pid, ...descendants(server.pid)], "SIGKILL");
  await expect.poll(() => isAlive(server.pid), { timeout: 10_000 }).toBe(false);
  await delay(6000);
  expect(workers.every(isAlive)).toBe(true);
  server = await startEmbeddedPostgres({ dir, port });

  for (const id of [gang, waiting])
    await expect.poll(() => cluster.job(id).catch(() => undefined), { timeout: 60_000, interval: 100 }).toMatchObject({ state: "succeeded", attempt: 1 });
  const { rows } = await cluster.pool.query("SELECT FROM nodes WHERE lost_since IS NOT NULL");
  expect(rows).toEqual([]);
}, 120_000);
