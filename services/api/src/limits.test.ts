import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testApi, type TestApi } from "./testing/test-api.ts";

let t: TestApi;
let dashboard: string;
beforeAll(async () => {
  dashboard = mkdtempSync(join(tmpdir(), "muster-dashboard-"));
  writeFileSync(join(dashboard, "index.html"), "<!doctype html><title>Muster</title>");
  mkdirSync(join(dashboard, "assets"));
  writeFileSync(join(dashboard, "assets", "main-abc.js"), "1");
  t = await testApi({ requests: 30, body: 2000, batchBody: 5000 }, { dashboard });
});
afterAll(async () => {
  await t.close();
  rmSync(dashboard, { recursive: true, force: true });
});

test("requests are limited by token, not for everyone", async () => {
  const [busy, calm] = [await t.token("viewer", null, "busy"), await t.token("viewer", null, "calm")];
  const answers = [];
  for (let i = 0; i < 35; i++) answers.push(await t.call("GET", "/v1/me", { token: busy }));
  expect(answers.map((answer) => answer.status)).toEqual([...Array.from({ length: 30 }, () => 200), ...Array.from({ length: 5 }, () => 429)]);
  const refused = answers.find((answer) => answer.status === 429);
  expect(refused?.json).toMatchObject({ code: "too_many_requests" });
  expect(Number(refused?.headers["retry-after"])).toBeGreaterThan(0);
  expect((await t.call("GET", "/v1/me", { token: calm })).status).toBe(200);
});

test("a filter that isn't known is refused: without it the answer would be of much else", async () => {
  const token = await t.token("viewer", null, "filters");
  expect((await t.call("GET", "/v1/jobs?stat=running", { token })).json).toMatchObject({
    status: 400,
    code: "invalid_request",
    errors: [{ path: "stat", message: "unknown field; did you mean state?" }],
  });
});

test("bodies are limited, and of a kind that is understood", async () => {
  const token = await t.token("admin", null, "writer");
  const large = { name: "x", run: ["y".repeat(3000)] };
  expect((await t.call("POST", "/v1/jobs", { token, body: large })).json).toMatchObject({ status: 413, code: "body_too_large" });
  expect((await t.call("POST", "/v1/jobs/batch", { token, body: { jobs: [large] } })).status).toBe(201);
  expect((await t.call("POST", "/v1/jobs", { token, body: { name: "x" }, headers: { "content-type": "text/html" } })).json).toMatchObject({
    status: 415,
    code: "unsupported_media_type",
  });
  const broken = await t.api.app.inject({
    method: "POST",
    url: "/v1/jobs",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    payload: '{"name": ',
  });
  expect(broken.json()).toMatchObject({ status: 400, code: "malformed_body" });
  const polluting = await t.api.app.inject({
    method: "POST",
    url: "/v1/jobs",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    payload: '{"name": "x", "__proto__": {"run": ["true"]}}',
  });
  expect(polluting.json()).toMatchObject({ status: 400, code: "malformed_body" });
});

test("the dashboard is served, its own addresses too, and never in the place of the API", async () => {
  const browse = (url: string) => t.api.app.inject({ url, headers: { accept: "text/html,application/xhtml+xml" } });
  for (const url of ["/", "/jobs", "/jobs/job_1?tab=logs", "/nodes/n1"]) {
    const page = await browse(url);
    expect([page.statusCode, page.headers["cache-control"]], url).toEqual([200, "no-cache"]);
    expect(page.payload).toContain("Muster");
    expect(page.headers["content-security-policy"]).toContain("script-src 'self';");
  }
  expect((await browse("/assets/main-abc.js")).headers["cache-control"]).toContain("immutable");
  expect((await browse("/assets/gone.js")).statusCode).toBe(404);
  expect((await browse("/v1/nothing")).json()).toMatchObject({ status: 404, code: "not_found" });
  expect((await browse("/../../etc/passwd")).payload).not.toContain("root:");
  expect((await browse("/%2e%2e/%2e%2e/etc/passwd")).payload).not.toContain("root:");
});
