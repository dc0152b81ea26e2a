import { afterAll, beforeAll, expect, it } from "vitest";
import { checkLease, dropLease, LeaseLost, takeLease, type Lease } from "./leases.ts";
import { transaction } from "./pool.ts";
import { testDatabase, type TestDatabase } from "./test-database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const lapse = (name: string): Promise<unknown> => database.pool.query("UPDATE leases SET expires_at = now() - interval '1 s' WHERE name = $1", [name]);
const may = (lease: Lease | undefined, holder: string): Promise<boolean> =>
  transaction(database.pool, (client) => checkLease(client, lease as Lease, holder)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof LeaseLost) return false;
      throw error;
    },
  );

it("who comes late, and finds that nobody took the lease, goes on under the same epoch", async () => {
  const { pool } = database;
  const lease = await takeLease(pool, "late", "one", 60);
  await lapse("late");
  expect(await may(lease, "one")).toBe(true);
  expect(await takeLease(pool, "late", "one", 60)).toEqual(lease);
});

it("once another has taken it, nothing of the former holder counts, though it takes it back", async () => {
  const { pool } = database;
  const first = await takeLease(pool, "taken", "one", 60);
  expect(await takeLease(pool, "taken", "two", 60)).toBeUndefined();
  await lapse("taken");
  const second = await takeLease(pool, "taken", "two", 60);
  expect([await may(first, "one"), await may(second, "two")]).toEqual([false, true]);
  await dropLease(pool, "taken", "two");
  const third = await takeLease(pool, "taken", "one", 60);
  expect([await may(first, "one"), await may(second, "two"), await may(third, "one")]).toEqual([false, false, true]);
});

it("nobody takes a lease, lapsed as it may be, before what its holder writes under it is committed", async () => {
  const { pool } = database;
  const lease = await takeLease(pool, "writing", "one", 60);
  await lapse("writing");
  let taken = false;
  const other = await transaction(pool, async (client) => {
    await checkLease(client, lease as Lease, "one");
    const other = takeLease(pool, "writing", "two", 60).then((got) => ((taken = true), got));
    const { rows } = await client.query("SELECT pg_sleep(0.3)");
    expect([rows.length, taken]).toEqual([1, false]);
    return { other };
  });
  expect(Number((await other.other)?.epoch)).toBe(Number(lease?.epoch) + 1);
  expect(await may(lease, "one")).toBe(false);
});
