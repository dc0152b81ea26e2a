import { afterAll, beforeAll, expect, test } from "vitest";
import { startAttempt } from "../testing/start-attempt.ts";
import { testApi, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi();
});
afterAll(() => t.close());

test("a dry run checks and answers, but changes nothing", async () => {
  const body = { name: "trial", projects: ["own"], weight: 2 };
  const dry = await t.call("PUT", "/v1/queues/trial?dry_run=true", { body });
  expect(dry.json).toMatchObject({ name: "trial", weight: 2, version: 1 });
  expect((await t.call("GET", "/v1/queues/trial")).status).toBe(404);
  expect((await t.call("PUT", "/v1/queues/trial", { body })).status).toBe(201);
  expect((await t.call("PUT", "/v1/queues/trial?dry_run=true", { body: { ...body, weight: 3 } })).json).toMatchObject({ weight: 3, version: 2 });
  expect((await t.call("GET", "/v1/queues/trial")).json).toMatchObject({ weight: 2, version: 1 });
});

test("If-Match guards a change", async () => {
  await t.call("PUT", "/v1/queues/guarded", { body: { name: "guarded" } });
  const put = (version: string) => t.call("PUT", "/v1/queues/guarded", { body: { name: "guarded", paused: true }, headers: { "if-match": version } });
  expect((await put('"5"')).json).toMatchObject({ status: 412, code: "version_mismatch", version: 1 });
  expect((await put('"1"')).json).toMatchObject({ paused: true, version: 2 });
  expect((await put("1")).json).toMatchObject({ status: 400 });
  expect((await t.call("PUT", "/v1/queues/new", { body: { name: "new" }, headers: { "if-match": '"1"' } })).json).toMatchObject({ status: 412 });
});

test("queues make no circle", async () => {
  await t.call("PUT", "/v1/queues/top", { body: { name: "top" } });
  await t.call("PUT", "/v1/queues/below", { body: { name: "below", parent: "top" } });
  for (const parent of ["below", "top", "nowhere"]) {
    expect((await t.call("PUT", "/v1/queues/top", { body: { name: "top", parent } })).json).toMatchObject({ status: 422, errors: [{ path: "parent" }] });
  }
});

test("what something depends on stays", async () => {
  await t.call("POST", "/v1/jobs", { body: { name: "a", run: ["true"], project: "own" } });
  for (const path of ["/v1/queues/default", "/v1/projects/own", "/v1/pools/h800"])
    expect((await t.call("DELETE", path)).json).toMatchObject({ status: 409, code: "in_use" });
  await t.call("PUT", "/v1/pools/empty", { body: { name: "empty", vendor: "amd", accelerator: "mi300x" } });
  expect((await t.call("DELETE", "/v1/pools/empty")).status).toBe(204);
  expect((await t.call("DELETE", "/v1/pools/empty")).status).toBe(404);
});

test("windows: made by operators, checked, listed by their start, deleted", async () => {
  const body = { name: "upgrade", pool: "h800", start: "2096-03-01T10:00:00Z", end: "2096-03-01T12:00:00Z", queues: ["default"], reason: "firmware" };
  const put = (change: object = {}) => t.call("PUT", "/v1/windows/upgrade", { body: { ...body, ...change } });
  expect((await put()).json).toMatchObject({ name: "upgrade", state: "coming", version: 1, node_count: expect.any(Number) });
  expect((await put({ nodes: ["n1"], pool: undefined })).json).toMatchObject({ node_count: 1, version: 2 });
  expect((await put({ start: "2020-01-01T00:00:00Z" })).json).toMatchObject({ state: "open" });
  for (const [change, path] of [
    [{ end: "2020-01-01T00:00:00Z" }, "end"],
    [{ pool: "nowhere" }, "pool"],
    [{ pool: undefined }, "nodes"],
    [{ pool: undefined, nodes: ["n1"], block: ["l1"] }, "block"],
    [{ nodes: ["nowhere"] }, "nodes"],
    [{ queues: ["nowhere"] }, "queues"],
    [{ jobs: ["job_x"] }, "jobs"],
    [{ block: ["nowhere"] }, "block"],
    [{ start: "0000-01-01T00:00:00Z" }, "start"],
    [{ start: "soon" }, "start"],
  ] as const)
    expect((await put(change)).json).toMatchObject({ status: 422, errors: [{ path }] });
  expect((await t.call("GET", "/v1/windows")).json).toMatchObject({ items: [{ name: "upgrade", state: "open" }] });
  expect((await t.call("DELETE", "/v1/windows/upgrade")).status).toBe(204);
  expect((await t.call("DELETE", "/v1/windows/upgrade")).status).toBe(404);
});

test("a node with work is neither deleted nor moved nor made smaller", async () => {
  const { id } = (await t.call("POST", "/v1/jobs", { body: { name: "busy", run: ["true"], resources: { accelerators: 1 } } })).json as { id: string };
  await startAttempt(t.pool, id, "n1");
  await t.call("PUT", "/v1/pools/elsewhere", { body: { name: "elsewhere", vendor: "amd", accelerator: "mi300x" } });
  const node = { name: "n1", pool: "h800", devices: 8, cpus: 64, memory: "1Ti" };
  expect((await t.call("DELETE", "/v1/nodes/n1")).json).toMatchObject({ status: 409, code: "in_use" });
  expect((await t.call("PUT", "/v1/nodes/n1", { body: { ...node, pool: "elsewhere" } })).json).toMatchObject({ status: 409, code: "in_use" });
  expect((await t.call("PUT", "/v1/nodes/n1", { body: { ...node, devices: 0 } })).json).toMatchObject({ status: 409, code: "in_use" });
  expect((await t.call("GET", "/v1/nodes/n1")).json).toMatchObject({ jobs: [id], held: [100, 0, 0, 0, 0, 0, 0, 0] });
});

test("cordon, drain and uncordon keep their reason, actor and time, and say what is possible", async () => {
  const act = (action: string, body: object = {}) => t.call("POST", `/v1/nodes/n2/${action}`, { body });
  expect((await act("cordon")).json).toMatchObject({ status: 422, errors: [{ path: "reason" }] });
  expect((await act("cordon", { reason: "fan" })).json).toMatchObject({
    health: "cordoned",
    health_reason: "fan",
    health_actor: "admin-all",
    schedulable: false,
  });
  expect((await act("drain", { reason: "repair", deadline: "30m" })).json).toMatchObject({ health: "draining", drain_deadline: expect.any(String) });
  expect((await act("uncordon")).json).toMatchObject({ health: "ready", health_reason: null, drain_deadline: null, schedulable: true });
  await t.pool.query("UPDATE nodes SET health = 'retired', health_reason = 'old', health_actor = 'x', schedulable = false WHERE name = 'n2'");
  expect((await act("drain", { reason: "again" })).json).toMatchObject({ status: 409, code: "wrong_state", possible: ["uncordon"] });
  expect((await t.call("POST", "/v1/nodes/n3/health", { body: { status: "fatal", check: "nvlink", message: "link 3 is down" } })).json).toMatchObject({
    health: "cordoned",
    health_reason: "nvlink: link 3 is down",
  });
});

test("tokens: told once, the same key gives the same one, revoked at once", async () => {
  const body = { subject: "ci", project: "own", role: "submitter", expires_in: "1h" };
  const made = await t.call("POST", "/v1/tokens", { body, headers: { "idempotency-key": "k1" } });
  const { token, id } = made.json as { token: string; id: string };
  expect(made.json).toMatchObject({ token: expect.stringMatching(/^mus_/), expires_at: expect.any(String) });
  const again = await t.call("POST", "/v1/tokens", { body, headers: { "idempotency-key": "k1" } });
  expect([again.headers["idempotent-replayed"], (again.json as { token: string }).token]).toEqual(["true", token]);
  expect((await t.call("POST", "/v1/tokens", { body: { ...body, role: "admin" }, headers: { "idempotency-key": "k1" } })).json).toMatchObject({
    code: "idempotency_key_reused",
  });
  expect((await t.call("GET", "/v1/tokens")).text).not.toContain(token);
  expect((await t.pool.query("SELECT * FROM tokens WHERE id = $1", [id])).rows.map((row) => JSON.stringify(row)).join("")).not.toContain(token);
  expect((await t.call("GET", "/v1/me", { token })).json).toEqual({ subject: "ci", project: "own", role: "submitter", projects: { own: "submitter" } });
  expect((await t.call("DELETE", `/v1/tokens/${id}`)).status).toBe(204);
  expect((await t.call("GET", "/v1/me", { token })).status).toBe(401);
  for (const [change, path] of [
    [{ expires_in: 0 }, "expires_in"],
    [{ subject: "ci\n" }, "subject"],
  ] as const)
    expect((await t.call("POST", "/v1/tokens", { body: { ...body, ...change } })).json).toMatchObject({ status: 422, errors: [{ path }] });
  const expired = await t.call("POST", "/v1/tokens", { body });
  await t.pool.query("UPDATE tokens SET expires_at = now() WHERE id = $1", [(expired.json as { id: string }).id]);
  expect((await t.call("GET", "/v1/me", { token: (expired.json as { token: string }).token })).status).toBe(401);
});

test("lists are paged by cursor, each thing once", async () => {
  for (const path of ["/v1/nodes", "/v1/queues", "/v1/pools", "/v1/tokens", "/v1/events", "/v1/projects"]) {
    const all = (await t.call("GET", `${path}?limit=500`)).json as { items: unknown[] };
    const seen: unknown[] = [];
    for (let cursor: string | null = null; ; ) {
      const page = (await t.call("GET", `${path}?limit=2${cursor === null ? "" : `&cursor=${cursor}`}`)).json as {
        items: unknown[];
        next_cursor: string | null;
      };
      seen.push(...page.items);
      cursor = page.next_cursor;
      if (cursor === null) break;
    }
    expect(seen, path).toEqual(all.items);
  }
  expect((await t.call("GET", "/v1/nodes?cursor=%00")).json).toMatchObject({ status: 400 });
});
