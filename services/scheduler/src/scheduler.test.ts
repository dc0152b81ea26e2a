import { appendEvents, applyJobAction, changeJobs, signInternal, SIGNATURE_HEADER, readCluster, transaction, Waker } from "@muster/store";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testDatabase, type TestDatabase } from "@muster/store/testing";
import { createScheduler, type Scheduler } from "./scheduler.ts";
import { endAttempts, makeCluster, newJob, statesOf, submit, until } from "./testing/cluster.ts";

let database: TestDatabase;
let scheduler: Scheduler;
let waker: Waker;

beforeAll(async () => {
  database = await testDatabase();
  await makeCluster(database.pool, [
    { name: "h800", accelerator: "h800", nodes: 8, devices: 8, leaf: 4 },
    { name: "ascend", accelerator: "ascend-910b", nodes: 2, devices: 8 },
  ]);
  await database.pool.query("UPDATE cluster SET settings = $1", [{ placement: { protected_runtime: 0 } }]);
  waker = new Waker(database.pool);
  scheduler = createScheduler({ databaseUrl: database.url, logger: pino({ level: "silent" }) });
  await scheduler.start();
  await until("leading", async () => scheduler.leading);
});

afterAll(async () => {
  await scheduler.close();
  await waker.close();
  await database.drop();
});

async function run(specs: Record<string, unknown>[]): Promise<string[]> {
  const ids = await submit(
    database.pool,
    specs.map((spec) => newJob(spec)),
  );
  waker.wake();
  return ids;
}

async function scheduled(ids: readonly string[], attempt = 1): Promise<void> {
  await until("scheduled", async () => {
    const states = await statesOf(database.pool, ids);
    return ids.every((id) => states.get(id)?.state === "scheduled" && states.get(id)?.attempt === attempt);
  });
}

async function ask(path: string, body: unknown, key?: Buffer): Promise<Response> {
  const text = JSON.stringify(body);
  const secret = key ?? (await readCluster(database.pool)).secret;
  return fetch(scheduler.address + path, {
    method: "POST",
    body: text,
    headers: { "content-type": "application/json", [SIGNATURE_HEADER]: signInternal(secret, path, text, Date.now()) },
  });
}

test("a gang over several nodes opens whole, with its ranks, its devices and a rendezvous of its own", async () => {
  const ids = await run([{ nodes: 4, launcher: "torchrun", resources: { accelerators: 8 }, topology: { segments: [{ ranks: 32, within: "leaf" }] } }]);
  await scheduled(ids);
  const { rows } = await database.pool.query(
    "SELECT worker, node_rank, first_rank, ranks, node, shard, devices, share, state, desired, todo FROM workers WHERE job = $1 ORDER BY node_rank",
    [ids[0]],
  );
  expect(rows.map((row) => [row.worker, row.first_rank, row.ranks])).toEqual([
    ["worker/0", 0, 8],
    ["worker/1", 8, 8],
    ["worker/2", 16, 8],
    ["worker/3", 24, 8],
  ]);
  expect(new Set(rows.map((row) => row.node)).size).toBe(4);
  expect(
    rows.every((row) => row.devices.length === 8 && row.share === 1000 && row.shard === "test" && row.todo && row.state === "pending" && row.desired === "run"),
  ).toBe(true);
  const { rows: leaves } = await database.pool.query("SELECT DISTINCT n.fabric FROM workers w JOIN nodes n ON n.name = w.node WHERE w.job = $1", [ids[0]]);
  expect(leaves).toHaveLength(1);
  const { rows: attempts } = await database.pool.query("SELECT * FROM attempts WHERE job = $1", [ids[0]]);
  expect(attempts).toMatchObject([{ gang: 4, number: 1, state: "scheduled", rendezvous_address: "127.0.0.1", resume_reason: null }]);
  expect(attempts[0].rendezvous_port).toBeGreaterThanOrEqual(20_000);
  const { rows: events } = await database.pool.query("SELECT actor, attempt, data FROM events WHERE job = $1 AND kind = 'job.scheduled'", [ids[0]]);
  expect(events).toMatchObject([{ actor: "scheduler", attempt: 1, data: { variant: 0 } }]);
  await endAttempts(database.pool, ids);
});

test("what a finished job held is used again, by priority", async () => {
  const first = await run([{ nodes: 2, resources: { accelerators: 8 }, accelerator: "ascend-910b" }]);
  await scheduled(first);
  const low = await run([{ nodes: 2, resources: { accelerators: 8 }, accelerator: "ascend-910b", priority: "low" }]);
  const high = await run([{ nodes: 2, resources: { accelerators: 8 }, accelerator: "ascend-910b", priority: "normal", preemptible: false }]);
  await until("a reason", async () => (await statesOf(database.pool, high)).get(high[0] as string)?.wait_reason === "insufficient_capacity");
  await endAttempts(database.pool, first);
  waker.wake();
  await scheduled(high);
  expect((await statesOf(database.pool, low)).get(low[0] as string)?.state).toBe("queued");
  await endAttempts(database.pool, high);
  waker.wake();
  await scheduled(low);
  await endAttempts(database.pool, low);
});

test("a more urgent job takes the places of a preemptible one, which stops with its grace and waits again", async () => {
  const [low] = await run([{ nodes: 2, resources: { accelerators: 8 }, accelerator: "ascend-910b", priority: "low", checkpoint: { grace: 7 } }]);
  await scheduled([low as string]);
  await database.pool.query("UPDATE workers SET state = 'running', todo = false WHERE job = $1", [low]);
  const [high] = await run([{ nodes: 2, resources: { accelerators: 8 }, accelerator: "ascend-910b", priority: "high" }]);
  await until("stopping", async () => (await statesOf(database.pool, [low as string])).get(low as string)?.state === "stopping");
  const { rows: jobs } = await database.pool.query("SELECT stop_target, stop_reason FROM jobs WHERE id = $1", [low]);
  expect(jobs).toMatchObject([{ stop_target: "queued" }]);
  expect(jobs[0].stop_reason).toMatch(/^preempted: /);
  const { rows: workers } = await database.pool.query("SELECT desired, grace, todo FROM workers WHERE job = $1", [low]);
  expect(workers).toEqual([
    { desired: "stop", grace: 7, todo: true },
    { desired: "stop", grace: 7, todo: true },
  ]);
  const { rows: events } = await database.pool.query("SELECT data FROM events WHERE job = $1 AND kind = 'job.preempted'", [low]);
  expect(events).toMatchObject([{ data: { from: "scheduled", to: "stopping", cause: { by: "scheduler", rule: "priority", for: high } } }]);
  await endAttempts(database.pool, [low as string], "queued");
  waker.wake();
  await scheduled([high as string]);
  expect((await statesOf(database.pool, [low as string])).get(low as string)).toMatchObject({ state: "queued", attempt: 1 });
  await endAttempts(database.pool, [high as string]);
  waker.wake();
  await scheduled([low as string], 2);
  await endAttempts(database.pool, [low as string]);
});

test("an elastic job that runs at less stops for a larger size once there is room, and starts as its next attempt", async () => {
  const [blocker] = await run([{ resources: { accelerators: 8 }, accelerator: "ascend-910b", preemptible: false }]);
  await scheduled([blocker as string]);
  const [elastic] = await run([{ nodes: { min: 1, max: 2 }, resources: { accelerators: 8 }, accelerator: "ascend-910b" }]);
  await scheduled([elastic as string]);
  const size = async (attempt: number): Promise<number | null> =>
    (await database.pool.query("SELECT FROM workers WHERE job = $1 AND attempt = $2", [elastic, attempt])).rowCount;
  expect(await size(1)).toBe(1);
  await transaction(database.pool, async (client) => {
    await changeJobs(client, [{ job: elastic as string, state: "running", stopTarget: null, dueIn: null, finished: false }]);
    await appendEvents(client, [{ kind: "job.running", actor: "test", project: "default", job: elastic as string, attempt: 1 }]);
  });
  await endAttempts(database.pool, [blocker as string]);
  waker.wake();
  await until("stopping", async () => (await statesOf(database.pool, [elastic as string])).get(elastic as string)?.state === "stopping");
  const { rows } = await database.pool.query("SELECT stop_target FROM jobs WHERE id = $1", [elastic]);
  expect(rows).toEqual([{ stop_target: "resized" }]);
  await endAttempts(database.pool, [elastic as string], "queued");
  waker.wake();
  await scheduled([elastic as string], 2);
  expect(await size(2)).toBe(2);
  await endAttempts(database.pool, [elastic as string]);
});

test("a job waits for the one that it comes after", async () => {
  const first = await run([{}]);
  const [second] = await submit(database.pool, [newJob({ after_ids: first })]);
  waker.wake();
  await scheduled(first);
  await until("the reason", async () => (await statesOf(database.pool, [second as string])).get(second as string)?.wait_reason === "dependency");
  await endAttempts(database.pool, first);
  waker.wake();
  await scheduled([second as string]);
  const { rows } = await database.pool.query("SELECT a.scheduled_at >= f.finished_at AS later FROM attempts a, jobs f WHERE a.job = $1 AND f.id = $2", [
    second,
    first[0],
  ]);
  expect(rows).toEqual([{ later: true }]);
  await endAttempts(database.pool, [second as string]);
});

test("of an array with a limit only so many run at once", async () => {
  const head = newJob({ name: "sweep" });
  const jobs = Array.from({ length: 6 }, (_, index) => ({
    ...newJob({ name: "sweep" }),
    ...(index === 0 && { id: head.id }),
    arrayId: head.id,
    arrayIndex: index,
    arrayLimit: 2,
  }));
  const ids = await submit(database.pool, jobs);
  waker.wake();
  await scheduled(ids.slice(0, 2));
  await until("the others are told why", async () => {
    const states = await statesOf(database.pool, ids.slice(2));
    return [...states.values()].every((row) => row.state === "queued" && row.wait_reason === "dependency");
  });
  const answer = (await (await ask("/internal/explain", { job: ids[3] })).json()) as { message: string };
  expect(answer.message).toBe("at most 2 elements of its array run at once; 2 do");
  await endAttempts(database.pool, ids.slice(0, 2));
  waker.wake();
  await scheduled(ids.slice(2, 4));
  await endAttempts(database.pool, ids.slice(2, 4));
  waker.wake();
  await scheduled(ids.slice(4));
  await endAttempts(database.pool, ids.slice(4));
});

test("a job that waits again starts as its next attempt, where it ran", async () => {
  const ids = await run([{ nodes: 2, resources: { accelerators: 4 }, accelerator: "h800" }]);
  await scheduled(ids);
  const before = await database.pool.query("SELECT node FROM workers WHERE job = $1 AND attempt = 1 ORDER BY node", [ids[0]]);
  await endAttempts(database.pool, ids, "queued");
  waker.wake();
  await scheduled(ids, 2);
  const after = await database.pool.query("SELECT node FROM workers WHERE job = $1 AND attempt = 2 ORDER BY node", [ids[0]]);
  expect(after.rows).toEqual(before.rows);
  const { rows } = await database.pool.query("SELECT resume_reason, rendezvous_port FROM attempts WHERE job = $1 ORDER BY number", [ids[0]]);
  expect(rows[1].resume_reason).toBe("stopped");
  expect(rows[1].rendezvous_port).not.toBe(rows[0].rendezvous_port);
  await endAttempts(database.pool, ids);
});

test("jobs cancelled while they are being placed never hold anything", async () => {
  const ids = await run(Array.from({ length: 40 }, () => ({ resources: { accelerators: 1 }, accelerator: "h800" })));
  await Promise.all(
    ids.map(async (jobId) => transaction(database.pool, async (client) => applyJobAction(client, { jobId, action: "cancel", reason: "test", actor: "test" }))),
  );
  waker.wake();
  await until("all settled", async () =>
    [...(await statesOf(database.pool, ids)).values()].every((row) => row.state === "cancelled" || row.state === "stopping"),
  );
  const { rows } = await database.pool.query(
    "SELECT count(*)::int AS doubled FROM jobs j JOIN workers w ON w.job = j.id WHERE j.state = 'cancelled' AND j.id = ANY($1::text[]) AND NOT w.released",
    [ids],
  );
  expect(rows[0].doubled).toBe(0);
  const stopping = [...(await statesOf(database.pool, ids))].filter(([, row]) => row.state === "stopping").map(([id]) => id);
  await endAttempts(database.pool, stopping, "cancelled");
});

test("a cordoned node gets nothing, and the reason names it", async () => {
  const cordon = async (on: boolean): Promise<void> => {
    await database.pool.query(
      "UPDATE nodes SET health = $1, health_reason = $2, health_actor = $3, schedulable = $4 WHERE pool = 'ascend'",
      on ? ["cordoned", "test", "test", false] : ["ready", null, null, true],
    );
    await database.pool.query("INSERT INTO events (kind, actor, node) SELECT 'node.cordoned', 'test', name FROM nodes WHERE pool = 'ascend'");
    waker.wake();
  };
  await cordon(true);
  const ids = await run([{ resources: { accelerators: 1 }, accelerator: "ascend-910b" }]);
  await until("the reason", async () => (await statesOf(database.pool, ids)).get(ids[0] as string)?.wait_reason === "nodes_unhealthy");
  expect((await database.pool.query("SELECT FROM workers WHERE job = $1", ids)).rowCount).toBe(0);
  await cordon(false);
  await scheduled(ids);
  await endAttempts(database.pool, ids);
});

test("a window keeps jobs off its nodes that could not end before, but for those of its queues, until it is taken back", async () => {
  const window = { nodes: [], pool: "ascend", block: [], jobs: [], queues: [] as string[] };
  const put = (spec: object) =>
    transaction(database.pool, async (client) => {
      await client.query(
        `INSERT INTO windows (name, starts_at, ends_at, spec) VALUES ('upgrade', now() + interval '1 hour', now() + interval '2 hours', $1)
          ON CONFLICT (name) DO UPDATE SET spec = $1`,
        [spec],
      );
      await appendEvents(client, [{ kind: "window.updated", actor: "test" }]);
    });
  await put(window);
  const asked = { resources: { accelerators: 8 }, accelerator: "ascend-910b" };
  const [long] = await run([{ ...asked, time_limit: "3h" }]);
  await until("the reason", async () => (await statesOf(database.pool, [long as string])).get(long as string)?.wait_reason === "insufficient_capacity");
  expect(await (await ask("/internal/explain", { job: long })).json()).toMatchObject({
    message: expect.stringContaining('window "upgrade" on 2 nodes begins at'),
  });
  const short = await run([{ ...asked, time_limit: "30m" }]);
  await scheduled(short);
  await put({ ...window, queues: ["default"] });
  waker.wake();
  await scheduled([long as string]);
  await transaction(database.pool, async (client) => {
    await client.query("DELETE FROM windows");
    await appendEvents(client, [{ kind: "window.deleted", actor: "test" }]);
  });
  await endAttempts(database.pool, [long as string, ...short]);
});

test("a setting that is put takes effect at once, under the same leader", async () => {
  const loadedAt = async (): Promise<unknown> => ((await (await ask("/internal/state", {})).json()) as { loadedAt: string }).loadedAt;
  const leader = await loadedAt();
  const asked = { resources: { accelerators: 8 }, accelerator: "ascend-910b" };
  const [running] = await run([{ ...asked, expected_duration: "1h" }]);
  await scheduled([running as string]);
  const [large] = await run([{ ...asked, nodes: 2 }]);
  const reason = (id: string | undefined, why: string) => async (): Promise<boolean> =>
    (await statesOf(database.pool, [id as string])).get(id as string)?.wait_reason === why;
  await until("the large one waits", reason(large, "insufficient_capacity"));
  // it would run beyond the date from which the large one has both nodes
  const [long] = await run([{ ...asked, expected_duration: "3h" }]);
  await until("the long one waits", reason(long, "behind_higher_priority"));
  await database.pool.query("UPDATE cluster SET settings = $1", [{ placement: { protected_runtime: 0, backfill: "greedy" } }]);
  await scheduled([long as string]);
  expect(await loadedAt()).toBe(leader);
  await database.pool.query("UPDATE cluster SET settings = $1", [{ placement: { protected_runtime: 0, backfill: "dated" } }]);
  await endAttempts(database.pool, [running as string, long as string]);
  waker.wake();
  await scheduled([large as string]);
  await endAttempts(database.pool, [large as string]);
  // one that is taken back has its default again: everything is read anew, by the same leader
  const { rows: lease } = await database.pool.query("SELECT holder, epoch FROM leases WHERE name = 'scheduler'");
  await database.pool.query("UPDATE cluster SET settings = $1", [{ placement: { protected_runtime: 0 } }]);
  await until("read anew", async () => ![leader, undefined].includes((await loadedAt().catch(() => undefined)) as string));
  expect((await database.pool.query("SELECT holder, epoch FROM leases WHERE name = 'scheduler'")).rows).toEqual(lease);
});

test("says so of jobs that could start while starts are paused, and of no others", async () => {
  const pause = (paused: boolean) =>
    database.pool.query("UPDATE cluster SET starts_paused = $1, starts_paused_reason = $2", [paused, paused ? "b is asked what it runs" : null]);
  const isPaused = async (paused: boolean): Promise<boolean> =>
    ((await (await ask("/internal/state", {})).json()) as { starts_paused: boolean }).starts_paused === paused;
  await pause(true);
  await until("paused", () => isPaused(true));
  const ids = await run([
    { accelerator: "h800", resources: { accelerators: 1 } },
    { nodes: 40, resources: { accelerators: 8 }, accelerator: "h800" },
  ]);
  const why = async (id: string | undefined): Promise<unknown> => (await ask("/internal/explain", { job: id })).json();
  await until("known", async () => (await ask("/internal/explain", { job: ids[1] })).status === 200);
  expect(await why(ids[0])).toMatchObject({ reason: "pending_evaluation", message: "no job is started at the moment: b is asked what it runs" });
  expect(await why(ids[1])).toMatchObject({ reason: "exceeds_topology" });
  await pause(false);
  await scheduled(ids.slice(0, 1));
  await endAttempts(database.pool, ids.slice(0, 1));
});

test("answers only what is signed: why a job waits, and what would become of one", async () => {
  const ids = await run([{ nodes: 40, resources: { accelerators: 8 }, accelerator: "h800" }]);
  await until("known", async () => (await ask("/internal/explain", { job: ids[0] })).status === 200);
  const why = (await (await ask("/internal/explain", { job: ids[0] })).json()) as Record<string, unknown>;
  expect(why).toMatchObject({ job: ids[0], state: "queued", need: [{ role: "worker", nodes: 40, accelerator: "h800", accelerators_per_node: 8 }] });
  expect((await ask("/internal/explain", { job: ids[0] }, Buffer.from("another"))).status).toBe(401);
  expect((await ask("/internal/explain", { job: "job_nothing" })).status).toBe(404);
  expect((await ask("/internal/explain", { wrong: 1 })).status).toBe(400);
  const spec = JSON.parse(newJob({ nodes: 2, resources: { accelerators: 8 }, accelerator: "h800" }).resolved);
  expect(await (await ask("/internal/plan", { spec })).json()).toMatchObject({
    fits_now: true,
    could_ever_run: true,
    placement: { variant: 0, pool: ["h800"] },
  });
  const large = JSON.parse(newJob({ nodes: 40, resources: { accelerators: 8 }, accelerator: "h800" }).resolved);
  expect(await (await ask("/internal/plan", { spec: large })).json()).toMatchObject({ fits_now: false, could_ever_run: false, placement: null });
  const change = { add_nodes: [{ like: "h800-0", count: 40 }] };
  expect(await (await ask("/internal/plan", { spec: large, change })).json()).toMatchObject({ fits_now: true, placement: { pool: ["h800"] } });
  const paused = { queues: [{ name: "default", paused: true }], cordon_nodes: ["h800-0"] };
  expect(await (await ask("/internal/plan", { spec, change: paused })).json()).toMatchObject({ fits_now: false, explanation: { reason: "queue_paused" } });
  for (const wrong of [{ return_nodes: ["none"] }, { queues: [{ name: "none" }] }, { without_jobs: ["job_nothing"] }])
    expect((await ask("/internal/plan", { spec, change: wrong })).status).toBe(422);
  expect(await (await ask("/internal/plan", { spec: large })).json()).toMatchObject({ fits_now: false, could_ever_run: false, placement: null });
  expect(await (await ask("/internal/state", {})).json()).toMatchObject({ nodes: 10, starts_paused: false });
  expect((await fetch(`${scheduler.address}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${scheduler.address}/metrics`)).text()).toContain("muster_scheduler_leader 1");
});
