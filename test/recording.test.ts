import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { replayRecording, RecordingError } from "@muster/replay/recording";
import { createScheduler, type Scheduler } from "@muster/scheduler";
import { appendEvents, readCluster, signInternal, SIGNATURE_HEADER, transaction, Waker, type Pool } from "@muster/store";
import { testDatabase, type TestDatabase } from "@muster/store/testing";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endAttempts, makeCluster, newJob, submit, until, type TestJob } from "../services/scheduler/src/testing/cluster.ts";

/* A real scheduler decides on a real database while it is recorded; what it recorded leads a new engine to the same decisions. */

let database: TestDatabase;
let waker: Waker;
const dir = mkdtempSync(join(tmpdir(), "muster-recordings-"));
/** Of the run that most tests look at: its lines. */
let lines: string[];

beforeAll(async () => {
  database = await testDatabase();
  await makeCluster(
    database.pool,
    [
      { name: "h800", accelerator: "h800", nodes: 6, devices: 4, leaf: 3 },
      { name: "h20", accelerator: "h20", nodes: 3, devices: 2, leaf: 3 },
    ],
    [{ name: "default" }, { name: "team", spec: { nominal: { h800: 8 }, borrow_limit: { h800: 4 } } }, { name: "short", spec: { order: "least_service" } }],
  );
  await database.pool.query("UPDATE cluster SET settings = $1", [{ placement: { protected_runtime: 0 } }]);
  waker = new Waker(database.pool);
  const folder = join(dir, "whole");
  await randomRun(1, { folder });
  lines = read(folder, only(readdirSync(folder)));
});

afterAll(async () => {
  await waker.close();
  await database.drop();
  rmSync(dir, { recursive: true });
});

test("a random run is replayed to the letter", async () => {
  const replay = await replayRecording(write("whole.jsonl", lines));
  expect(replay).toMatchObject({ difference: null, cutOff: false, end: "the term ended" });
  expect(replay.calls).toBeGreaterThan(100);
  const decisions = lines.filter((line) => line.startsWith('["cycle"')).map((line) => JSON.parse(line)[3]);
  expect(replay.cycles).toBe(decisions.length);
  // it was a run worth replaying
  for (const kind of ["starts", "evictions"])
    expect(
      decisions.some((one) => one[kind].length > 0),
      kind,
    ).toBe(true);
  expect(lines.findLastIndex((line) => line.startsWith('["setPolicy"'))).toBeGreaterThan(lines.indexOf('["loaded"]'));
  for (const call of ["submit", "finished", "released", "putNode", "settle", "plan", "setPolicy", "putQueue"])
    expect(
      lines.some((line) => line.startsWith(`["${call}"`)),
      call,
    ).toBe(true);
});

test("a job is explained as of a cycle, and that cycle's decisions are shown", async () => {
  const path = write("explained.jsonl", lines);
  const all = lines.map((line) => JSON.parse(line));
  // some cycle after which a job waits that was submitted before
  const cycles = all.filter((line) => line[0] === "cycle");
  const cycle = cycles.findIndex((line) => line[3].waiting > 0) + 1;
  const end = all.indexOf(cycles[cycle - 1]);
  const before = all.slice(0, end + 1);
  const started = new Set(before.flatMap((line) => (line[0] === "cycle" ? line[3].starts.map((start: { job: string }) => start.job) : [])));
  const waiting = before.find((line) => line[0] === "submit" && !started.has(line[1].id))?.[1].id;
  const replay = await replayRecording(path, { cycle, explain: waiting });
  expect(replay).toMatchObject({ cycles: cycle, difference: null, decisions: cycles[cycle - 1][3], explanation: { job: waiting } });
  await expect(replayRecording(path, { explain: "nobody" })).rejects.toThrow(/nobody/);
  await expect(replayRecording(path, { cycle: 1_000_000 })).rejects.toThrow("there is no cycle 1000000");
});

test("a decision that was changed is named", async () => {
  const at = lines.findIndex((line) => line.startsWith('["cycle"') && JSON.parse(line)[3].starts.length > 0);
  const [name, now, digest, decisions] = JSON.parse(lines[at] ?? "");
  decisions.starts[0].members[0].node = "h800-elsewhere";
  const replay = await replayRecording(write("tampered.jsonl", lines.with(at, JSON.stringify([name, now, digest, decisions]))));
  expect(replay.difference).toMatchObject({ line: at + 1, what: expect.stringContaining("the file was changed") });
});

test("a call that was changed leads to other decisions, and the first is named", async () => {
  // a job's start was decided, so it can't have been held
  const cycle = lines.findIndex((line) => line.startsWith('["cycle"') && JSON.parse(line)[3].starts.length > 0);
  const job = JSON.parse(lines[cycle] ?? "")[3].starts[0].job;
  const told = lines.slice(0, cycle).findLastIndex((line) => /^\["(submit|updateJob)"/.test(line) && JSON.parse(line)[1].id === job);
  const [name, input] = JSON.parse(lines[told] ?? "");
  const replay = await replayRecording(write("changed.jsonl", lines.with(told, JSON.stringify([name, { ...input, held: "user" }]))));
  expect(replay.difference).toMatchObject({ line: cycle + 1, what: expect.stringMatching(/^starts/) });
});

test("a call that throws only when replayed is named", async () => {
  const at = lines.findIndex((line) => line.startsWith('["submit"'));
  const replay = await replayRecording(write("missing.jsonl", lines.toSpliced(at, 0, '["removeJob","nobody"]')));
  expect(replay.difference).toMatchObject({ line: at + 1, what: "what removeJob threw", recorded: null, replayed: expect.stringContaining("nobody") });
});

test("a last line that was cut off is left out; one in the middle is an error, as is what is no recording", async () => {
  const last = lines.findLastIndex((line) => line.startsWith('["cycle"'));
  const cut = [...lines.slice(0, last), (lines[last] ?? "").slice(0, 30)];
  const whole = await replayRecording(write("whole.jsonl", lines));
  expect(await replayRecording(write("cut.jsonl", cut, ""))).toMatchObject({ cutOff: true, difference: null, end: null, cycles: whole.cycles - 1 });
  const compressed = join(dir, "cut.jsonl.gz");
  writeFileSync(compressed, gzipSync(lines.join("\n")).subarray(0, -2000));
  expect(await replayRecording(compressed)).toMatchObject({ cutOff: true, difference: null });
  await expect(replayRecording(write("middle.jsonl", lines.with(5, '["submit",')))).rejects.toThrow("line 6 is not JSON");
  await expect(replayRecording(write("else.jsonl", ["hello"]))).rejects.toThrow(RecordingError);
  await expect(replayRecording(write("empty.jsonl", [], ""))).rejects.toThrow("no header");
  await expect(replayRecording(write("newer.jsonl", ['{"recording":99,"placement":1}']))).rejects.toThrow("format 99");
  await expect(replayRecording(write("unknown.jsonl", [lines[0] ?? "", '["constructor"]']))).rejects.toThrow('line 2: no call is named "constructor"');
});

test("a long run is recorded in parts, of which each is replayed alone, and old ones are removed", async () => {
  const folder = join(dir, "parts");
  await randomRun(2, { folder, partBytes: 20_000, restartAfter: 0 });
  const parts = readdirSync(folder);
  expect(parts.length).toBeGreaterThan(2);
  for (const part of parts) {
    expect(part).toMatch(/^\d+-\d+\.jsonl\.gz$/);
    expect(await replayRecording(join(folder, part))).toMatchObject({ difference: null, cutOff: false });
  }
  const sizes = parts.map((part) => readFileSync(join(folder, part)).length);
  const total = Math.max(...sizes) * 2;
  await randomRun(3, { folder, partBytes: 20_000, restartAfter: 0, totalBytes: total });
  const left = readdirSync(folder);
  expect(left.reduce((sum, part) => sum + readFileSync(join(folder, part)).length, 0)).toBeLessThanOrEqual(total);
  // the oldest went first
  expect(left).not.toContain(parts[0]);
});

test("when the leader changes meanwhile, what each of them decided is replayed alone", async () => {
  const { pool } = database;
  const folder = join(dir, "leaders");
  const started = async (): Promise<Scheduler> => {
    const scheduler = createScheduler({ databaseUrl: database.url, logger: pino({ level: "silent" }), recordings: { folder } });
    await scheduler.start();
    return scheduler;
  };
  const ids: string[] = [];
  const more = async (): Promise<void> => {
    ids.push(
      ...(await submit(
        pool,
        Array.from({ length: 5 }, () => newJob({ resources: { accelerators: 2 }, time_limit: 60 })),
      )),
    );
    waker.wake();
    await until(
      "all looked at",
      async () => (await count(pool, "id = ANY($1::text[]) AND state = 'queued' AND wait_reason = 'pending_evaluation'", ids)) === 0,
    );
  };
  const first = await started();
  await until("leading", async () => first.leading);
  const second = await started();
  await more();
  await first.close();
  await until("the other leads", async () => second.leading);
  await more();
  await second.close();
  await endAttempts(pool, await idsOf(pool, "finished_at IS NULL"), "cancelled");
  const replays = await Promise.all(readdirSync(folder).map((part) => replayRecording(join(folder, part))));
  expect(new Set(replays.map(({ epoch }) => epoch)).size).toBe(2);
  for (const replay of replays) expect(replay).toMatchObject({ difference: null, cutOff: false, end: "the term ended" });
  for (const replay of replays) expect(replay.cycles).toBeGreaterThan(0);
});

/** Jobs are submitted, end, are stopped for others and wait again, and nodes go and come, at random. */
async function randomRun(seed: number, recordings: { folder: string; partBytes?: number; totalBytes?: number; restartAfter?: number }): Promise<void> {
  const { pool } = database;
  const next = random(seed);
  const scheduler = createScheduler({ databaseUrl: database.url, logger: pino({ level: "silent" }), recordings });
  await scheduler.start();
  await until("leading", async () => scheduler.leading);
  for (let round = 0; round < 25; round++) {
    const sizes = [
      { resources: { accelerators: 1 } },
      { resources: { accelerators: 4 } },
      { nodes: 2, resources: { accelerators: 2 } },
      { nodes: { min: 1, max: 3 }, resources: { accelerators: 4 } },
      { resources: { share: 0.25 } },
    ];
    const specs = Array.from({ length: 1 + next(6) }, () => ({
      ...sizes[next(sizes.length)],
      queue: ["default", "team", "short"][next(3)],
      preemptible: next(2) === 0,
      priority: ["low", "normal", "high"][next(3)],
      time_limit: 60 + next(600),
    }));
    const ids = await submit(
      pool,
      specs.map((spec) => newJob(spec)),
    );
    waker.wake();
    const looked = async (): Promise<boolean> =>
      (await count(pool, "id = ANY($1::text[]) AND state = 'queued' AND wait_reason = 'pending_evaluation'", ids)) === 0;
    // not in each round: what follows is also to meet decisions that are under way
    if (round % 4 === 0) await until("all looked at", looked);
    const running = await idsOf(pool, "state = 'scheduled'");
    await endAttempts(
      pool,
      running.filter(() => next(3) === 0),
      next(4) === 0 ? "failed" : "succeeded",
    );
    await endAttempts(pool, await idsOf(pool, "state = 'stopping'"), "queued");
    if (round % 5 === 0) await askWhatIf(scheduler.address, specs[0] as TestJob);
    if (round === 12)
      await pool.query("UPDATE cluster SET settings = $1", [{ placement: { protected_runtime: 0, usage_half_life: 600, reservations: 2 + next(9) } }]);
    // they are looked at once a second, and in a short recording it can be seen when
    if (round === 18 && recordings.partBytes === undefined)
      await until("new settings", async () => whatIsRecorded(recordings.folder).includes("usageHalfLifeMs"));
    if (next(3) === 0) await setNode(pool, `h800-${next(6)}`, next(2) === 0);
    waker.wake();
  }
  // the next run begins with an empty cluster
  await endAttempts(pool, await idsOf(pool, "finished_at IS NULL"), "cancelled");
  await scheduler.close();
}

/** Asks for a plan on another cluster, which must leave no trace in what is decided. */
async function askWhatIf(scheduler: string, spec: TestJob): Promise<void> {
  const path = "/internal/plan";
  const change = { add_nodes: [{ like: "h800-0", count: 2 }], cordon_nodes: ["h20-0"], queues: [{ name: "team", nominal: { h800: 16 } }] };
  const text = JSON.stringify({ spec: JSON.parse(newJob(spec).resolved), change });
  const signature = signInternal((await readCluster(database.pool)).secret, path, text, Date.now());
  const answer = await fetch(scheduler + path, {
    method: "POST",
    body: text,
    headers: { "content-type": "application/json", [SIGNATURE_HEADER]: signature },
  });
  // between two parts nobody leads
  expect([200, 503]).toContain(answer.status);
}

async function setNode(pool: Pool, node: string, schedulable: boolean): Promise<void> {
  await transaction(pool, async (client) => {
    await client.query("UPDATE nodes SET health = $2, health_reason = $3, health_actor = $3, schedulable = $4 WHERE name = $1", [
      node,
      schedulable ? "ready" : "cordoned",
      schedulable ? null : "test",
      schedulable,
    ]);
    await appendEvents(client, [{ kind: "node.changed", actor: "test", node }]);
  });
}

async function idsOf(pool: Pool, where: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(`SELECT id FROM jobs WHERE ${where} ORDER BY id`);
  return rows.map((row) => row.id);
}

async function count(pool: Pool, where: string, ids: readonly string[]): Promise<number> {
  const { rows } = await pool.query<{ jobs: number }>(`SELECT count(*)::int AS jobs FROM jobs WHERE ${where}`, [ids]);
  return rows[0]?.jobs ?? 0;
}

/** A repeatable source of choices (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function only<T>(items: readonly T[]): T {
  expect(items).toHaveLength(1);
  return items[0] as T;
}

function whatIsRecorded(folder: string): string {
  return readFileSync(join(folder, only(readdirSync(folder))), "utf8");
}

function read(folder: string, name: string): string[] {
  return gunzipSync(readFileSync(join(folder, name)))
    .toString()
    .trimEnd()
    .split("\n");
}

function write(name: string, content: readonly string[], end = "\n"): string {
  const path = join(dir, name);
  writeFileSync(path, content.join("\n") + end);
  return path;
}
