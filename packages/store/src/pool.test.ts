import { afterAll, beforeAll, expect, it } from "vitest";
import { createPool, isConnectionError, transaction, type Pool } from "./pool.ts";
import { testDatabase, type TestDatabase } from "./test-database.ts";

let db: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  db = await testDatabase();
  pool = createPool(db.url, "victim", { max: 1 });
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

it("a connection that breaks in a transaction, while nothing is asked of it, is an error of the next question and of nobody else", async () => {
  const asked = transaction(pool, async (client) => {
    const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    const [{ pid } = { pid: 0 }] = rows;
    const ended = new Promise((resolve) => client.once("end", resolve));
    await db.pool.query("SELECT pg_terminate_backend($1)", [pid]);
    await ended;
    await client.query("SELECT 1");
  });
  await expect(asked).rejects.toSatisfy(isConnectionError);
  expect((await pool.query<{ one: number }>("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});
