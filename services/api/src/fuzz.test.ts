import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeAttemptToken, readCluster } from "@muster/store";
import { maybe, nearly, type Hints, type Schema } from "./testing/hostile-values.ts";
import { startAttempt } from "./testing/start-attempt.ts";
import { testApi, type TestApi } from "./testing/test-api.ts";

/** Requests a route. */
const RUNS = 100;
const SEED = Number(process.env["MUSTER_FUZZ_SEED"] ?? 20_260_101);

interface Operation {
  parameters?: { in: "path" | "query" | "header"; name: string; schema: Schema; required?: boolean }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}

let t: TestApi;
let url: string;
let document: { paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } };
let hints: Hints;
let secret: Buffer;
const wrong: string[] = [];
beforeAll(async () => {
  t = await testApi({ streams: 1000, requests: 1_000_000 });
  url = await t.api.listen({ host: "127.0.0.1", port: 0 });
  document = (await t.call("GET", "/v1/openapi.json")).json as typeof document;
  ({ secret } = await readCluster(t.pool));
  hints = {
    resolve: (ref) => document.components.schemas[ref.split("/").at(-1) as string] as Schema,
    words: ["real", "default", "own", "n0", "n1", "h800", "normal", "worker-0", "true", "state,queue", "spare"],
  };
});
afterAll(() => t.close());

describe("a hundred bodies, queries and parameters for every route", () => {
  test("of the document", async () => {
    let requests = 0;
    const routes: string[] = [];
    const done = new Set<string>();
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const route = `${method.toUpperCase()} ${path}`;
        routes.push(route);
        const things = await prepare(route);
        for (const input of fc.sample(inputOf(operation, things), { numRuns: RUNS, seed: SEED })) {
          const status = await send(method.toUpperCase(), path, input, things.token);
          requests++;
          if (status < 300) done.add(route);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(requests).toBeGreaterThan(5000);
    // they must not all fail on their form alone: every route must also have done what it is for
    expect(routes.filter((route) => !done.has(route))).toEqual([]);
  }, 600_000);

  test("leave nothing half-written", async () => {
    const { rows } = await t.pool.query(`SELECT
      (SELECT count(*)::int FROM jobs j WHERE NOT EXISTS (SELECT FROM job_specs s WHERE s.job = j.id)) AS without_spec,
      (SELECT count(*)::int FROM job_specs s WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = s.job)) AS without_job,
      (SELECT count(*)::int FROM jobs j WHERE (SELECT count(*) FROM events e WHERE e.job = j.id AND e.kind = 'job.submitted') <> 1) AS without_event,
      (SELECT count(*)::int FROM job_dependencies d WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = d.job) OR NOT EXISTS (SELECT FROM jobs j WHERE j.id = d.on_job)) AS dangling,
      (SELECT count(*)::int FROM jobs j WHERE j.unmet_dependencies <> (SELECT count(*) FROM job_dependencies d WHERE d.job = j.id AND d.state <> 'met')) AS miscounted,
      (SELECT count(*)::int FROM idempotency_keys k WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = coalesce(k.response->>'id', k.response#>>'{items,0,id}'))) AS keys_without_job,
      (SELECT count(*)::int FROM nodes n WHERE NOT EXISTS (SELECT FROM node_usage u WHERE u.node = n.name)) AS without_usage,
      (SELECT count(*)::int FROM tokens k WHERE NOT EXISTS (SELECT FROM events e WHERE e.kind = 'token.created' AND e.data->>'token' = k.id) AND k.subject <> 'admin-all') AS tokens_without_event`);
    expect(rows[0]).toEqual({
      without_spec: 0,
      without_job: 0,
      without_event: 0,
      dangling: 0,
      miscounted: 0,
      keys_without_job: 0,
      without_usage: 0,
      tokens_without_event: 0,
    });
    const { rows: arrays } = await t.pool.query(
      "SELECT array_id FROM jobs j JOIN job_specs s ON s.job = j.array_id WHERE array_id IS NOT NULL GROUP BY array_id, s.resolved HAVING count(*) <> (s.resolved#>>'{array,count}')::int",
    );
    expect(arrays).toEqual([]);
  });
});

/** What exists when a route's turn comes. */
interface Things {
  /** For its path. */
  known: string[];
  token: string;
  /** A body that is right as it is. */
  right: object | undefined;
}

async function prepare(route: string): Promise<Things> {
  const path = route.split(" ")[1] as string;
  const things: Things = { known: ["n1", "n1", "n2", "h800", "default", "own"], token: t.admin, right: RIGHT[path] };
  for (const name of ["n1", "n2"]) await t.call("PUT", `/v1/nodes/${name}`, { body: { ...RIGHT["/v1/nodes/{name}"], name } });
  for (const kind of ["windows", "shards"])
    if (path === `/v1/${kind}/{name}`) for (const name of ["n1", "n2"]) await t.call("PUT", `/v1/${kind}/${name}`, { body: { ...RIGHT[path], name } });
  if (path.endsWith("/diagnose"))
    for (const name of ["n1", "n2"])
      for (const action of ["uncordon", "cordon"]) await t.call("POST", `/v1/nodes/${name}/${action}`, { body: { reason: "test" } });
  if (path === "/v1/cluster/lift-brake") await t.pool.query("INSERT INTO incidents (id, kind) VALUES ('inc_brake', 'mass_silence')");
  if (path.startsWith("/v1/tokens/")) {
    const made = await t.call("POST", "/v1/tokens", { body: RIGHT["/v1/tokens"] });
    return { ...things, known: [(made.json as { id: string }).id] };
  }
  if (!path.startsWith("/v1/jobs/{id}")) return things;
  const made = await t.call("POST", "/v1/jobs/batch", { body: { jobs: Array.from({ length: 9 }, () => RIGHT["/v1/jobs"]) } });
  const known = (made.json as { items: { id: string }[] }).items.map((job) => job.id);
  for (const id of known.slice(0, 3)) await t.call("POST", `/v1/jobs/${id}/hold`);
  for (const id of known.slice(3, 6)) await t.call("POST", `/v1/jobs/${id}/suspend`);
  const job = known[8] as string;
  if (!/checkpoint|logs/.test(path)) return { ...things, known };
  const incarnation = await startAttempt(t.pool, job, "n0");
  return route === "POST /v1/jobs/{id}/checkpoints"
    ? { known: [job], token: makeAttemptToken(secret, { job, incarnation, attempt: 1 }), right: { step: 1, path: `/area/${job}/attempt-${incarnation}-1/a` } }
    : { ...things, known };
}

interface Input {
  path: Record<string, unknown>;
  query: Record<string, unknown>;
  header: Record<string, unknown>;
  body: unknown;
  token: boolean;
}

/** What is right as it is, to which a few fields are added: so that much comes through to what lies behind the form. */
const RIGHT: Record<string, object> = {
  "/v1/jobs": { name: "real", project: "own", run: ["true"] },
  "/v1/jobs/plan": {
    name: "real",
    run: ["true"],
    resources: { accelerators: 1 },
    cluster: { return_nodes: ["n1"], add_nodes: [{ like: "n0", count: 2 }], queues: [{ name: "default", nominal: { h800: 8 } }] },
  },
  "/v1/jobs/batch": {
    jobs: [
      { name: "real", run: ["true"] },
      { name: "next", run: ["true"], after: [{ job: "real" }] },
    ],
  },
  "/v1/jobs/{id}": { priority: "high" },
  "/v1/nodes/{name}": { name: "n1", pool: "h800", devices: 8, cpus: 64, memory: "1Ti" },
  "/v1/pools/{name}": { name: "n1", vendor: "nvidia", accelerator: "h800" },
  "/v1/queues/{name}": { name: "n1", projects: ["*"] },
  "/v1/projects/{name}": { name: "n1" },
  "/v1/windows/{name}": { name: "n1", pool: "h800", start: "2090-01-01T00:00:00Z", end: "2090-01-02T00:00:00Z" },
  "/v1/shards/{name}": { name: "n1", config: { pools: [{ pool: "h800" }] } },
  "/v1/jobs/{id}/hold": { reason: "test" },
  "/v1/nodes/{name}/cordon": { reason: "test" },
  "/v1/nodes/{name}/diagnose": { reason: "test" },
  "/v1/nodes/{name}/drain": { reason: "test", deadline: "5m" },
  "/v1/nodes/{name}/health": { status: "warning", check: "test" },
  "/v1/tokens": { subject: "someone", role: "viewer" },
  "/v1/cluster/settings": { placement: { backfill: "greedy" } },
  "/v1/cluster/new-incarnation": { reason: "test" },
};

function inputOf(operation: Operation, things: Things): fc.Arbitrary<Input> {
  const parameters = operation.parameters ?? [];
  const group = (where: string, percent: number): fc.Arbitrary<Record<string, unknown>> =>
    fc.record(
      Object.fromEntries(
        parameters
          .filter((one) => one.in === where)
          .map((one) => [
            one.name,
            maybe(one.name === "if-match" ? fc.oneof(fc.constant<unknown>('"1"'), nearly(one.schema, hints)) : nearly(one.schema, hints), percent),
          ]),
      ),
    );
  const inPath = fc.record(
    Object.fromEntries(
      parameters
        .filter((one) => one.in === "path")
        .map((one) => [
          one.name,
          fc.oneof({ weight: 5, arbitrary: fc.constantFrom<unknown>(...things.known) }, { weight: 1, arbitrary: nearly(one.schema, hints) }),
        ]),
    ),
  );
  return fc.record({
    path: inPath,
    query: group("query", 12),
    header: group("header", 40),
    body: bodyOf(operation, things.right),
    token: fc.integer({ min: 0, max: 49 }).map((n) => n > 0),
  });
}

function bodyOf(operation: Operation, right: object | undefined): fc.Arbitrary<unknown> {
  const content = operation.requestBody?.content ?? {};
  const schema = content["application/json"]?.schema;
  if (!schema) return fc.constant(undefined);
  const added = nearly(schema, hints).map((value) => (typeof value === "object" && value !== null && !Array.isArray(value) ? value : {}));
  const fields = fc.tuple(added, fc.nat({ max: 2 }), fc.nat()).map(([all, count, from]) => {
    const entries = Object.entries(all);
    const start = entries.length === 0 ? 0 : from % entries.length;
    return Object.fromEntries(entries.slice(start, start + count));
  });
  return right
    ? fc.oneof({ weight: 3, arbitrary: fields.map((some) => ({ ...right, ...some })) }, { weight: 2, arbitrary: nearly(schema, hints) })
    : nearly(schema, hints);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

async function send(method: string, template: string, input: Input, token: string): Promise<number> {
  const part = (value: unknown): string => encodeURIComponent(text(value).toWellFormed());
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => part(input.path[name]));
  const query = Object.entries(input.query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${part(value)}`);
  const headers: Record<string, string> = input.token ? { authorization: `Bearer ${token}` } : {};
  for (const [name, value] of Object.entries(input.header)) if (value !== undefined && /^[\x20-\x7e]+$/.test(text(value))) headers[name] = text(value);
  if (input.body !== undefined) headers["content-type"] = "application/json";
  const control = new AbortController();
  const response = await fetch(`${url}${path}${query.length > 0 ? `?${query.join("&")}` : ""}`, {
    method,
    headers,
    signal: control.signal,
    ...(input.body !== undefined && { body: JSON.stringify(input.body) }),
  });
  const stream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  const answer = stream ? "" : await response.text();
  if (stream) control.abort();
  const told = `${method} ${path.slice(0, 200)} ${JSON.stringify(input.body)?.slice(0, 500)} -> ${response.status} ${answer.slice(0, 300)}`;
  if (!isRight(response, answer)) wrong.push(told);
  return response.status;
}

/** No failure of the server's, and every refusal a problem that tells nothing of the inside. */
function isRight(response: Response, answer: string): boolean {
  if (response.status >= 500) return false;
  if (response.status < 400) return true;
  const problem = (response.headers.get("content-type") ?? "").startsWith("application/problem+json")
    ? (JSON.parse(answer) as { status?: number; code?: string; detail?: string })
    : {};
  return (
    problem.status === response.status &&
    typeof problem.code === "string" &&
    typeof problem.detail === "string" &&
    !/\bat .+\.[jt]s:\d+|node_modules|SELECT |INSERT |violates/.test(answer)
  );
}
