import { afterAll, beforeAll, expect, it } from "vitest";
import { appendEvents, readFeed } from "./events.ts";
import { readNews, seenAll, type Seen } from "./news.ts";
import type { Client } from "./pool.ts";
import { testDatabase, type TestDatabase } from "./test-database.ts";

let db: TestDatabase;
let seen: Seen;

beforeAll(async () => {
  db = await testDatabase();
  seen = await seenAll(db.pool);
});
afterAll(async () => db.drop());

const say = async (client: Client, ...kinds: string[]): Promise<void> =>
  appendEvents(
    client,
    kinds.map((kind) => ({ kind, actor: "test" })),
  );

async function news(limit = 100): Promise<string[]> {
  const read = await readNews(db.pool, seen, limit);
  seen = read.seen;
  return read.events.map((event) => event.kind);
}

it("tells each event once, as soon as it is committed, though an older transaction is open", async () => {
  const [early, late] = [await db.pool.connect(), await db.pool.connect()];
  try {
    await early.query("BEGIN");
    await say(early, "early");
    await late.query("BEGIN");
    await say(late, "late");
    expect(await news()).toEqual([]);
    await late.query("COMMIT");
    expect(await news()).toEqual(["late"]);
    // a reader in order has to wait
    expect(await readFeed(db.pool, { xid: "0", seq: "0" }, 100)).toEqual([]);
    await say(db.pool, "after");
    expect(await news()).toEqual(["after"]);
    await early.query("COMMIT");
    expect(await news()).toEqual(["early"]);
    expect(await news()).toEqual([]);
  } finally {
    early.release();
    late.release();
  }
});

it("tells nothing of what was rolled back, and so many at a time of what is more", async () => {
  const client = await db.pool.connect();
  await client.query("BEGIN");
  await say(client, "lost");
  await client.query("ROLLBACK");
  client.release();
  await say(db.pool, "1", "2", "3");
  await say(db.pool, "4", "5");
  expect(await news(2)).toEqual(["1", "2"]);
  // what comes meanwhile is told after these
  await say(db.pool, "6");
  expect(await news(2)).toEqual(["3", "4"]);
  expect(await news(2)).toEqual(["5"]);
  expect(await news(2)).toEqual(["6"]);
  expect(await news(2)).toEqual([]);
});

it("misses nothing and repeats nothing while many write at once", async () => {
  const told: string[] = [];
  const done = new AbortController();
  const reading = (async () => {
    while (!done.signal.aborted) told.push(...(await news(7)));
  })();
  await Promise.all(
    Array.from({ length: 6 }, async (_, writer) => {
      for (let i = 0; i < 40; i++) {
        const client = await db.pool.connect();
        await client.query("BEGIN");
        await say(client, `${writer}-${i}`);
        if (i % 3 === 0) await client.query("SELECT pg_sleep(0.003)");
        await client.query("COMMIT");
        client.release();
      }
    }),
  );
  done.abort();
  await reading;
  for (let more = await news(); more.length > 0; more = await news()) told.push(...more);
  expect(told).toHaveLength(240);
  expect(new Set(told).size).toBe(240);
});
