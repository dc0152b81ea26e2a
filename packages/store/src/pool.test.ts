import { afterAll, beforeAll, expect, it } from "vitest";
import { createPool, isConnectionError, together, transaction, type Pool } from "./pool.ts";
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

it("what is asked together is done in its order, and the next statement of each follows", async () => {
  const said = await transaction(pool, async (client) => {
    await client.query("CREATE TEMP TABLE said (at serial, what text) ON COMMIT DROP");
    const say = async (what: string) => client.query({ name: "say", text: "INSERT INTO said (what) VALUES ($1)", values: [what] });
    const [first, , third] = await together(client, [
      async () => "not asked",
      async () => {
        await say("a");
        await say("b");
      },
      async () => (await client.query<{ what: string }>("SELECT what FROM said ORDER BY at")).rows.map((row) => row.what),
      async () => say("c"),
    ]);
    expect([first, third]).toEqual(["not asked", ["a"]]);
    return (await client.query<{ what: string }>("SELECT what FROM said ORDER BY at")).rows.map((row) => row.what);
  });
  expect(said.toSorted()).toEqual(["a", "b", "c"]);
});

it("where one of them fails nothing is kept, and nothing is asked once the transaction is rolled back", async () => {
  await pool.query("CREATE TABLE kept (what text)");
  let more = (): void => {};
  const asked = transaction(pool, async (client) => {
    await together(client, [
      async () => client.query("INSERT INTO kept VALUES ('before')"),
      async () => client.query("SELECT 1 / 0"),
      async () => {
        // fails only after the others, and would be asked outside of the transaction if that did not wait
        await new Promise<void>((resolve) => (more = resolve));
        await client.query("INSERT INTO kept VALUES ('after')");
      },
    ]);
  });
  setTimeout(() => more(), 50);
  await expect(asked).rejects.toThrow("division by zero");
  expect((await pool.query("SELECT * FROM kept")).rows).toEqual([]);
});

it("a transaction whose work fails before it asks anything leaves a connection that works", async () => {
  await expect(transaction(pool, async () => Promise.reject(new Error("no work")))).rejects.toThrow("no work");
  await expect(
    transaction(pool, () => {
      throw new Error("none at all");
    }),
  ).rejects.toThrow("none at all");
  expect(await transaction(pool, async (client) => (await client.query<{ one: number }>("SELECT 1 AS one")).rows)).toEqual([{ one: 1 }]);
});

it("no limit of the database ends a BEGIN, and options in the URL stand beside its own", async () => {
  const { rows } = await db.pool.query<{ name: string }>("SELECT current_database() AS name");
  await db.pool.query(`ALTER DATABASE ${rows[0]?.name} SET statement_timeout = '1ms'`);
  const own = createPool(`${db.url}${db.url.includes("?") ? "&" : "?"}options=-c%20geqo%3Doff%20-c%20enable_partition_pruning%3Don`, "own", {
    genericPlans: true,
  });
  const shown = await own.query(
    "SELECT current_setting('statement_timeout') AS timeout, current_setting('geqo') AS theirs, current_setting('enable_partition_pruning') AS pruning, current_setting('plan_cache_mode') AS plans",
  );
  await own.end();
  expect(shown.rows).toEqual([{ timeout: "0", theirs: "off", pruning: "off", plans: "force_generic_plan" }]);
});
