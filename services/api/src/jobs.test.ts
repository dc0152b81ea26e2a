import { afterAll, beforeAll, expect, test } from "vitest";
import { startAttempt } from "./testing/start-attempt.ts";
import { testApi, type TestApi } from "./testing/test-api.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi();
});
afterAll(() => t.close());

const spec = { name: "train", run: ["true"] };

test("a job is submitted, listed, read, held, released and cancelled", async () => {
  const made = await t.call("POST", "/v1/jobs", { body: { ...spec, labels: { team: "a" } } });
  expect(made.status, made.text).toBe(201);
  const { id } = made.json as { id: string };
  expect(made.headers["location"]).toBe(`/v1/jobs/${id}`);
  const read = await t.call("GET", `/v1/jobs/${id}`);
  expect(read.status, read.text).toBe(200);
  expect(read.json).toEqual(made.json);
  const list = await t.call("GET", "/v1/jobs?label=team=a&state=queued");
  expect((list.json as { items: { id: string }[] }).items.map((job) => job.id)).toEqual([id]);
  expect((await t.call("POST", `/v1/jobs/${id}/hold`, { body: { reason: "wait" } })).json).toMatchObject({ state: "held" });
  expect((await t.call("POST", `/v1/jobs/${id}/resume`)).json).toMatchObject({ status: 409, code: "wrong_state", state: "held" });
  expect((await t.call("POST", `/v1/jobs/${id}/release`)).json).toMatchObject({ state: "queued" });
  expect((await t.call("POST", `/v1/jobs/${id}/cancel`)).json).toMatchObject({ state: "cancelled" });
  const events = await t.call("GET", `/v1/jobs/${id}/events`);
  expect((events.json as { items: { kind: string }[] }).items.map((event) => event.kind)).toEqual(["job.submitted", "job.hold", "job.release", "job.cancel"]);
});

test("every other read of a job answers", async () => {
  const { id } = (await t.call("POST", "/v1/jobs", { body: spec })).json as { id: string };
  for (const part of ["/spec", "/spec?view=submitted", "/explain", "/attempts", "/workers", "/checkpoints", "/logs", "/logs?tail=5"]) {
    const answer = await t.call("GET", `/v1/jobs/${id}${part}`);
    expect(answer.status, `${part}: ${answer.text}`).toBe(200);
  }
  for (const path of [
    "/v1/jobs/summary?group_by=state,queue",
    "/v1/overview",
    "/v1/me",
    "/v1/nodes",
    "/v1/nodes/n0",
    "/v1/pools",
    "/v1/pools/h800",
    "/v1/queues",
    "/v1/queues/default",
    "/v1/projects",
    "/v1/projects/own",
    "/v1/tokens",
    "/v1/events",
    "/v1/incidents",
    "/v1/openapi.json",
    "/metrics",
    "/healthz",
    "/readyz",
    "/docs/",
  ]) {
    const answer = await t.call("GET", path);
    expect(answer.status, `${path}: ${answer.text.slice(0, 500)}`).toBe(200);
  }
});

test("a list and its counts are narrowed alike, whatever the filter", async () => {
  const finished = (await t.call("POST", "/v1/jobs", { body: { ...spec, name: "filtered", labels: { a: "b" } } })).json as { id: string };
  await t.call("POST", `/v1/jobs/${finished.id}/cancel`);
  await t.call("POST", "/v1/jobs", { body: { ...spec, name: "filtered%", project: "own" } }).then((answer) => expect(answer.status).toBe(422));
  await t.call("POST", "/v1/jobs?hold=true", { body: { ...spec, name: "filtered-too", project: "own", priority: "high" } });
  const filters: [string, number][] = [
    ["name=filtered", 2],
    ["name=filtered&state=cancelled", 1],
    ["name=filtered&state=cancelled,held", 2],
    ["name=filtered&active=true", 1],
    ["name=filtered&active=false", 1],
    ["name=filtered&label=a=b", 1],
    ["name=filtered&project=own", 1],
    ["name=filtered&submitter=nobody", 0],
    ["name=filter_d", 0],
    ["name=filtered&queue=default", 2],
    ["name=filtered&submitted_since=2100-01-01T00:00:00Z", 0],
    ["name=filtered&node=n0", 0],
  ];
  for (const [query, count] of filters) {
    const list = (await t.call("GET", `/v1/jobs?${query}`)).json as { items: unknown[] };
    const summary = (await t.call("GET", `/v1/jobs/summary?${query}&group_by=state,project,priority`)).json as { groups: { jobs: number }[] };
    expect([list.items.length, summary.groups.reduce((sum, group) => sum + group.jobs, 0)], query).toEqual([count, count]);
  }
  expect((await t.call("GET", "/v1/jobs?state=dreaming")).json).toMatchObject({ status: 400, errors: [{ path: "state" }] });
});

test("jobs of one request keep its order, by name and by element", async () => {
  const jobs = [
    { ...spec, name: "one" },
    { ...spec, name: "two", array: { count: 3 } },
    { ...spec, name: "three" },
  ];
  expect((await t.call("POST", "/v1/jobs/batch", { body: { jobs } })).status).toBe(201);
  const { items } = (await t.call("GET", "/v1/jobs?sort=submitted_at&limit=200")).json as { items: { name: string; array: { index: number } | null }[] };
  const names = items.map((job) => `${job.name}${job.array ? `[${job.array.index}]` : ""}`);
  expect(names.slice(names.indexOf("one"))).toEqual(["one", "two[0]", "two[1]", "two[2]", "three"]);
  const events = (await t.call("GET", "/v1/events?kind=job.submitted&limit=5")).json as { items: { job_name: string }[] };
  expect(events.items.map((event) => event.job_name).sort()).toEqual(["one", "three", "two[0]", "two[1]", "two[2]"]);
});

test("what is left of a running job follows from the steps that it made; its node is heard of by its shard", async () => {
  const { id } = (await t.call("POST", "/v1/jobs", { body: spec })).json as { id: string };
  await startAttempt(t.pool, id, "n0");
  await t.pool.query("UPDATE attempts SET first_progress_at = now() - interval '100 s', last_step_at = now(), first_step = 10, last_step = 60 WHERE job = $1", [
    id,
  ]);
  await t.pool.query("INSERT INTO progress (job, attempt, step, total) VALUES ($1, 1, 60, 160)", [id]);
  expect((await t.call("GET", `/v1/jobs/${id}`)).json).toMatchObject({ progress: { step: 60, total: 160, rate: null, seconds_left: 200 } });
  await t.pool.query("UPDATE progress SET total = 50 WHERE job = $1", [id]);
  expect((await t.call("GET", `/v1/jobs/${id}`)).json).toMatchObject({ progress: { seconds_left: null } });
  await t.pool.query("UPDATE attempts SET first_step = 60 WHERE job = $1", [id]);
  await t.pool.query("INSERT INTO incidents (id, kind, project, job) VALUES ('inc_named', 'job_failure', 'default', $1)", [id]);
  expect((await t.call("GET", `/v1/incidents?job=${id}`)).json).toMatchObject({ items: [{ job: id, job_name: "train" }] });
  expect((await t.call("GET", `/v1/jobs/${id}`)).json).toMatchObject({ progress: { seconds_left: null } });
  await t.pool.query("UPDATE shards SET last_seen = '2026-01-02T03:04:05Z' WHERE name = 'h800'");
  expect((await t.call("GET", "/v1/nodes/n0")).json).toMatchObject({ last_seen: "2026-01-02T03:04:05.000Z" });
});
