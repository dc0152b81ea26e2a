import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { LeaseLost, leaseHolder, takeLease, Waker, type Lease } from "@muster/store";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { testDatabase, type TestDatabase } from "@muster/store/testing";
import { DecisionWriter } from "./decisions.ts";
import { Changes, load } from "./follow.ts";
import { Mirror } from "./mirror.ts";
import { endAttempts, makeCluster, newJob, statesOf, submit, until } from "./testing/cluster.ts";

const JOBS = 100;

let database: TestDatabase;

beforeEach(async () => {
  database = await testDatabase();
  await makeCluster(database.pool, [{ name: "h800", accelerator: "h800", nodes: 4, devices: 4 }]);
});

afterEach(async () => {
  await database.drop();
});

test("who lost the lease between reading and writing writes nothing", async () => {
  const { pool } = database;
  const ids = await submit(
    pool,
    Array.from({ length: 8 }, () => newJob({ resources: { accelerators: 1 } })),
  );
  const logger = pino({ level: "silent" });
  const term = async (holder: string): Promise<{ mirror: Mirror; writer: DecisionWriter }> => {
    const lease = (await takeLease(pool, "scheduler", holder, 60)) as Lease;
    const mirror = new Mirror(Date.now);
    await load(pool, mirror);
    return { mirror, writer: new DecisionWriter({ pool, lease, holder, mirror, logger, now: Date.now }) };
  };
  const first = await term("first");
  const decided = first.mirror.engine.cycle(Date.now());
  expect(decided.starts).toHaveLength(8);
  await pool.query("UPDATE leases SET expires_at = now()");
  const second = await term("second");
  await expect(first.writer.commit(decided, new Changes())).rejects.toThrow(LeaseLost);
  expect([...(await statesOf(pool, ids)).values()].every((row) => row.state === "queued")).toBe(true);
  expect((await second.writer.commit(second.mirror.engine.cycle(Date.now()), new Changes())).starts).toBe(8);
  await expect(first.writer.commit(decided, new Changes())).rejects.toThrow(LeaseLost);
  const { rows } = await pool.query("SELECT count(*)::int AS attempts FROM attempts");
  expect(rows).toEqual([{ attempts: 8 }]);
});

test("two schedulers, the leader killed again and again: every job starts once, nothing is held twice", { timeout: 360_000 }, async () => {
  const { pool } = database;
  const processes = new Set<ChildProcess>();
  const waker = new Waker(pool);
  const launch = (): void => {
    const child = spawn(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url))], {
      env: { ...process.env, DATABASE_URL: database.url },
      stdio: "ignore",
    });
    processes.add(child);
  };
  const kill = async (child: ChildProcess): Promise<void> => {
    processes.delete(child);
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
  launch();
  launch();
  try {
    const ids: string[] = [];
    let killed = 0;
    const finish = async (): Promise<void> => {
      const { rows } = await pool.query<{ id: string }>("SELECT id FROM jobs WHERE state = 'scheduled' LIMIT 10");
      if (rows.length > 0)
        await endAttempts(
          pool,
          rows.map((row) => row.id),
        );
    };
    await until(
      "all jobs ended",
      async () => {
        if (ids.length < JOBS)
          ids.push(
            ...(await submit(
              pool,
              Array.from({ length: 2 }, () => newJob({ nodes: 1 + (ids.length % 3), resources: { accelerators: 2 }, preemptible: false })),
            )),
          );
        const leader = await leaseHolder(pool, "scheduler");
        const child = [...processes].find((one) => leader?.holder.includes(`:${one.pid}:`));
        // not before this leader did some of the work
        const { rows } = await pool.query<{ started: number; done: number }>(
          "SELECT count(*) FILTER (WHERE attempt > 0)::int AS started, count(*) FILTER (WHERE state = 'succeeded')::int AS done FROM jobs",
        );
        if (child && killed < 3 && (rows[0]?.started ?? 0) > (JOBS / 5) * (killed + 1)) {
          killed++;
          await kill(child);
          launch();
        }
        await finish();
        waker.wake();
        await delay(5);
        return ids.length >= JOBS && rows[0]?.done === ids.length;
      },
      300,
    );
    expect(killed).toBe(3);
    const { rows: starts } = await pool.query("SELECT job, count(*)::int AS starts FROM events WHERE kind = 'job.scheduled' GROUP BY job HAVING count(*) <> 1");
    expect(starts).toEqual([]);
    const { rows: attempts } = await pool.query("SELECT count(*)::int AS attempts, max(number) AS highest, count(DISTINCT job)::int AS jobs FROM attempts");
    expect(attempts).toEqual([{ attempts: ids.length, highest: 1, jobs: ids.length }]);
    const { rows: left } = await pool.query(
      "SELECT node FROM node_usage WHERE cpus <> 0 OR memory <> 0 OR EXISTS (SELECT FROM unnest(held) AS h WHERE h <> 0)",
    );
    expect(left).toEqual([]);
  } finally {
    await Promise.all([...processes].map(kill));
    await waker.close();
  }
});
