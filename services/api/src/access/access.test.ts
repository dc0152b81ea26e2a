import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROLES, type Role } from "@muster/model";
import { logKey } from "@muster/logs";
import { testApi, type TestApi } from "../testing/test-api.ts";
import { startAttempt } from "../testing/start-attempt.ts";

/*
 * What each route must allow, written down apart from the table that the server uses. The thing asked about belongs to
 * project `own`. `own`: the least role of a token of that project; `all`: the least role of a token of all projects;
 * `other`: what an admin of another project gets.
 */
interface Rule {
  own: Role | "never" | "public";
  all: Role | "never" | "public";
  other: "same" | 403 | 404;
  body?: unknown;
  headers?: Record<string, string>;
  /** Made before each call, as the call may use it up. */
  path?: () => Promise<string>;
}

const everyone: Rule = { own: "public", all: "public", other: "same" };
/** Any token; what it shows is tested below. */
const filtered: Rule = { own: "viewer", all: "viewer", other: "same" };
const seeJob: Rule = { own: "viewer", all: "viewer", other: 404 };
const actOnJob: Rule = { own: "operator", all: "operator", other: 404, body: { reason: "test" } };
const operate: Rule = { own: "never", all: "operator", other: 403, body: { reason: "test" } };
const administer: Rule = { own: "never", all: "admin", other: 403 };
const spec = { name: "walk", project: "own", run: ["true"] };

let t: TestApi;
let job: string;
beforeAll(async () => {
  t = await testApi();
  job = await submit("own");
});
afterAll(() => t.close());

async function submit(project: string, more: object = {}): Promise<string> {
  const answer = await t.call("POST", "/v1/jobs", { body: { ...spec, project, ...more } });
  expect(answer.status, answer.text).toBe(201);
  return (answer.json as { id: string }).id;
}

const WINDOW = { name: "w", pool: "h800", start: "2030-01-01T00:00:00Z", end: "2030-01-02T00:00:00Z" };

async function putWindow(): Promise<string> {
  await t.call("PUT", "/v1/windows/w", { body: WINDOW });
  return "/v1/windows/w";
}

const shard = { name: "east", config: { pools: [{ pool: "h800" }] } };
async function someShard(): Promise<string> {
  await t.call("PUT", "/v1/shards/east", { body: shard });
  return "/v1/shards/east";
}

const RULES: Record<string, Rule> = {
  "GET /healthz": everyone,
  "GET /readyz": everyone,
  "GET /metrics": { ...operate, body: undefined },
  "GET /v1/openapi.json": everyone,
  "GET /v1/me": filtered,
  "GET /v1/overview": filtered,
  "GET /v1/cluster": filtered,
  "PUT /v1/cluster/settings": { ...administer, body: {} },
  "POST /v1/cluster/new-incarnation": { ...administer, body: { reason: "test" } },
  "POST /v1/cluster/lift-brake": operate,
  "GET /v1/events": filtered,
  "GET /v1/events/stream": filtered,
  "GET /v1/incidents": filtered,
  "GET /v1/accounting": filtered,
  "POST /v1/jobs": { own: "submitter", all: "submitter", other: 403, body: spec },
  "POST /v1/jobs/batch": { own: "submitter", all: "submitter", other: 403, body: { jobs: [spec] } },
  "POST /v1/jobs/plan": { own: "submitter", all: "submitter", other: 403, body: spec },
  "GET /v1/jobs": filtered,
  "GET /v1/jobs/summary": filtered,
  "GET /v1/jobs/{id}": seeJob,
  "PATCH /v1/jobs/{id}": { ...actOnJob, body: { priority: "high" }, headers: { "if-match": '"1"' } },
  "GET /v1/jobs/{id}/spec": seeJob,
  "GET /v1/jobs/{id}/explain": seeJob,
  "GET /v1/jobs/{id}/events": seeJob,
  "GET /v1/jobs/{id}/attempts": seeJob,
  "GET /v1/jobs/{id}/workers": seeJob,
  "GET /v1/jobs/{id}/checkpoints": seeJob,
  // only an attempt's own token commits: no person's does
  "POST /v1/jobs/{id}/checkpoints": { own: "never", all: "never", other: 403, body: { step: 1, path: "/ckpt" } },
  "GET /v1/jobs/{id}/logs": seeJob,
  "POST /v1/jobs/{id}/cancel": actOnJob,
  "POST /v1/jobs/{id}/hold": actOnJob,
  "POST /v1/jobs/{id}/release": actOnJob,
  "POST /v1/jobs/{id}/suspend": actOnJob,
  "POST /v1/jobs/{id}/resume": actOnJob,
  "POST /v1/jobs/{id}/requeue": actOnJob,
  "POST /v1/jobs/{id}/checkpoint": actOnJob,
  "GET /v1/nodes": filtered,
  "GET /v1/nodes/{name}": { ...filtered, path: async () => "/v1/nodes/n0" },
  "PUT /v1/nodes/{name}": { ...administer, body: { name: "n9", pool: "h800", devices: 1, cpus: 1, memory: 1 }, path: async () => "/v1/nodes/n9" },
  "DELETE /v1/nodes/{name}": {
    ...administer,
    path: async () => {
      await t.call("PUT", "/v1/nodes/spare", { body: { name: "spare", pool: "h800", devices: 1, cpus: 1, memory: 1 } });
      return "/v1/nodes/spare";
    },
  },
  "POST /v1/nodes/{name}/cordon": { ...operate, path: async () => "/v1/nodes/n3/cordon" },
  "POST /v1/nodes/{name}/uncordon": { ...operate, path: async () => "/v1/nodes/n3/uncordon" },
  "POST /v1/nodes/{name}/drain": { ...operate, path: async () => "/v1/nodes/n3/drain" },
  "POST /v1/nodes/{name}/diagnose": { ...operate, path: async () => "/v1/nodes/n3/diagnose" },
  "POST /v1/nodes/{name}/retire": { ...operate, path: async () => "/v1/nodes/n3/retire" },
  "POST /v1/nodes/{name}/health": { ...operate, body: { status: "ok", check: "test" }, path: async () => "/v1/nodes/n3/health" },
  "GET /v1/pools": filtered,
  "GET /v1/pools/{name}": { ...filtered, path: async () => "/v1/pools/h800" },
  "PUT /v1/pools/{name}": { ...administer, body: { name: "p", vendor: "amd", accelerator: "mi300x" }, path: async () => "/v1/pools/p" },
  "DELETE /v1/pools/{name}": { ...administer, path: async () => "/v1/pools/h800" },
  "GET /v1/queues": filtered,
  "GET /v1/queues/{name}": { ...filtered, path: async () => "/v1/queues/default" },
  "PUT /v1/queues/{name}": { ...administer, body: { name: "q" }, path: async () => "/v1/queues/q" },
  "DELETE /v1/queues/{name}": { ...administer, path: async () => "/v1/queues/default" },
  "GET /v1/windows": filtered,
  "GET /v1/windows/{name}": { ...filtered, path: putWindow },
  "PUT /v1/windows/{name}": { ...operate, body: WINDOW, path: async () => "/v1/windows/w" },
  "DELETE /v1/windows/{name}": { ...operate, body: undefined, path: putWindow },
  "GET /v1/shards": { ...operate, body: undefined },
  "GET /v1/shards/{name}": { ...operate, body: undefined, path: someShard },
  "PUT /v1/shards/{name}": { ...administer, body: shard, path: async () => "/v1/shards/east" },
  "DELETE /v1/shards/{name}": { ...administer, path: someShard },
  "GET /v1/projects": filtered,
  "GET /v1/projects/{name}": { own: "viewer", all: "viewer", other: 404, path: async () => "/v1/projects/own" },
  "PUT /v1/projects/{name}": { own: "admin", all: "admin", other: 404, body: { name: "own" }, path: async () => "/v1/projects/own" },
  "DELETE /v1/projects/{name}": { ...administer, path: async () => "/v1/projects/own" },
  "GET /v1/tokens": { own: "admin", all: "admin", other: "same" },
  "POST /v1/tokens": { own: "admin", all: "admin", other: 403, body: { subject: "someone", project: "own", role: "viewer" } },
  "DELETE /v1/tokens/{id}": {
    own: "admin",
    all: "admin",
    other: 404,
    path: async () => {
      const made = await t.call("POST", "/v1/tokens", { body: { subject: "someone", project: "own", role: "viewer" } });
      return `/v1/tokens/${(made.json as { id: string }).id}`;
    },
  },
};

interface Document {
  paths: Record<string, Record<string, { operationId?: string }>>;
}

async function routes(): Promise<string[]> {
  const document = (await t.call("GET", "/v1/openapi.json", { token: null })).json as Document;
  return Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
}

/** Streams never end by themselves: what matters here is how they are answered. */
async function status(route: string, rule: Rule, token: string | null): Promise<number> {
  const [method, template] = route.split(" ") as [string, string];
  const path = rule.path ? await rule.path() : template.replace("{id}", template.includes("/jobs/") ? job : "none");
  if (!path.endsWith("/stream"))
    return (await t.call(method, path, { token, ...(rule.body !== undefined && { body: rule.body }), ...(rule.headers && { headers: rule.headers }) })).status;
  const control = new AbortController();
  const response = await fetch(`${await address()}${path}`, { headers: token === null ? {} : { authorization: `Bearer ${token}` }, signal: control.signal });
  control.abort();
  return response.status;
}

let listening: Promise<string> | undefined;
function address(): Promise<string> {
  listening ??= t.api.listen({ host: "127.0.0.1", port: 0 });
  return listening;
}

describe("every role on every route, in its own project and in another's", () => {
  test("the rules name every route of the document, and no other", async () => {
    expect(Object.keys(RULES).sort()).toEqual((await routes()).sort());
  });

  test.each(Object.keys(RULES))("%s", async (route) => {
    const rule = RULES[route] as Rule;
    const allows = (least: Rule["own"], role: Role): boolean => least === "public" || (least !== "never" && ROLES.indexOf(role) >= ROLES.indexOf(least));
    const check = async (token: string | null, expected: "allowed" | number[], who: string): Promise<void> => {
      const answer = await status(route, rule, token);
      const refusals = [401, 403, 404, 500];
      const right = expected === "allowed" ? !refusals.includes(answer) : expected.includes(answer);
      expect(right, `${who}: ${answer}, but should be ${expected === "allowed" ? "allowed" : expected.join(" or ")}`).toBe(true);
    };
    await check(null, rule.own === "public" ? "allowed" : [401], "nobody");
    await check("mus_unknown", rule.own === "public" ? "allowed" : [401], "an unknown token");
    for (const role of ROLES) {
      const commit = route === "POST /v1/jobs/{id}/checkpoints";
      const refused = commit ? [401] : [403];
      await check(await t.token(role, "own"), allows(rule.own, role) ? "allowed" : refused, `${role} of the project`);
      await check(await t.token(role, null), allows(rule.all, role) ? "allowed" : refused, `${role} of all projects`);
      const other = await t.token(role, "other");
      if (rule.other === "same") await check(other, allows(rule.own, role) ? "allowed" : refused, `${role} of another project`);
      else await check(other, commit ? [401] : [403, rule.other], `${role} of another project`);
      if (role === "admin" && rule.other !== "same" && !commit) await check(other, [rule.other], "admin of another project");
    }
  });
});

test("a submitter may act on its own jobs alone", async () => {
  const [one, two] = [await t.token("submitter", "own", "one"), await t.token("submitter", "own", "two")];
  const made = await t.call("POST", "/v1/jobs", { token: one, body: spec });
  const { id } = made.json as { id: string };
  expect((await t.call("POST", `/v1/jobs/${id}/hold`, { token: two })).json).toMatchObject({ status: 403, code: "forbidden" });
  expect((await t.call("POST", `/v1/jobs/${id}/hold`, { token: one })).status).toBe(200);
});

test("members add to what a token of all projects may, never to one of a project", async () => {
  await t.call("PUT", "/v1/projects/own", { body: { name: "own", members: { mia: "operator" } } });
  const [wide, narrow] = [await t.token("viewer", null, "mia"), await t.token("viewer", "own", "mia")];
  const id = await submit("own");
  expect((await t.call("POST", `/v1/jobs/${id}/hold`, { token: wide })).status).toBe(200);
  expect((await t.call("POST", `/v1/jobs/${await submit("other")}/hold`, { token: wide })).status).toBe(403);
  expect((await t.call("POST", `/v1/jobs/${id}/release`, { token: narrow })).status).toBe(403);
  await t.call("PUT", "/v1/projects/own", { body: { name: "own" } });
  expect((await t.call("POST", `/v1/jobs/${id}/release`, { token: wide })).status).toBe(403);
});

test("nothing of a project is shown to a token of another, in any list, count or stream", async () => {
  const mark = "zebra-mark";
  const id = await submit("own", { name: mark, labels: { mark }, description: mark });
  const incarnation = await startAttempt(t.pool, id, "n0");
  await t.logs.append(logKey({ job: id, incarnation, attempt: 1, worker: "worker-0" }), 0, Buffer.from(`${mark}\n`));
  await t.pool.query("INSERT INTO incidents (id, kind, project, job, node) VALUES ('inc_1', $1, 'own', $2, 'n0')", [mark, id]);
  await t.pool.query("INSERT INTO incidents (id, kind, node) VALUES ('inc_2', $1, 'n0')", [mark]);
  await t.pool.query("INSERT INTO events (kind, actor, node, data) VALUES ('node.lost', 'muster', 'n0', $1)", [JSON.stringify({ jobs: [id] })]);
  const outsider = await t.token("admin", "other");
  const empty = (await t.call("GET", "/v1/queues/default", { token: await t.token("admin", "default") })).json;
  expect(empty).toMatchObject({ waiting: { jobs: 0, devices: 0 }, active: { jobs: 0, devices: 0 } });
  for (const route of await routes()) {
    const [method, template] = route.split(" ") as [string, string];
    if (method !== "GET" || template.endsWith("/stream") || template === "/v1/openapi.json") continue;
    for (const query of template === "/v1/jobs" || template === "/v1/events" ? ["", `?project=own`, `?job=${id}`] : [""]) {
      const path = (RULES[route]?.path ? await RULES[route].path() : template.replace("{id}", id)) + query;
      const answer = await t.call("GET", path, { token: outsider });
      // an error names what was asked for, which the asker knew
      expect(answer.status === 200 && answer.text.includes(id), path).toBe(false);
      expect(answer.text, path).not.toContain(mark);
    }
  }
  expect((await t.call("GET", `/v1/jobs?name=${mark}`)).text).toContain(id);
});
