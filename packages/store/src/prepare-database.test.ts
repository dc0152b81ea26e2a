import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCluster } from "./cluster.ts";
import { createPool, type Pool } from "./pool.ts";
import { prepareDatabase } from "./prepare-database.ts";
import { onServer } from "./test-database.ts";

const server = process.env["MUSTER_TEST_DATABASE_URL"] ?? "";
const name = `prepare_${process.pid}_${randomBytes(4).toString("hex")}`;
let url: string;
let pool: Pool;
beforeAll(async () => {
  await onServer(server, `CREATE DATABASE ${name}`);
  url = Object.assign(new URL(server), { pathname: `/${name}` }).href;
  pool = createPool(url, "test", { max: 2 });
});
afterAll(async () => {
  await pool.end();
  await onServer(server, `DROP DATABASE ${name} WITH (FORCE)`);
});

const names = async (table: "projects" | "queues") => (await pool.query<{ name: string }>(`SELECT name FROM ${table}`)).rows.map((row) => row.name);

test("services that start at once on an empty database make one cluster of it", async () => {
  await Promise.all(Array.from({ length: 5 }, () => prepareDatabase(url)));
  const { id } = await readCluster(pool);
  expect([await names("projects"), await names("queues")]).toEqual([["default"], ["default"]]);
  const month = new Date().toISOString().slice(0, 7).replace("-", "_");
  expect((await pool.query("SELECT to_regclass($1) IS NOT NULL AS there", [`jobs_${month}`])).rows).toEqual([{ there: true }]);
  await prepareDatabase(url);
  expect((await readCluster(pool)).id).toBe(id);
});

test("what an operator removed stays away", async () => {
  await pool.query("DELETE FROM queues");
  await prepareDatabase(url);
  expect(await names("queues")).toEqual([]);
});
