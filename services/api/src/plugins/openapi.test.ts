import { afterAll, beforeAll, expect, test } from "vitest";
import { testApi, type TestApi } from "../testing/test-api.ts";

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  security?: unknown[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, unknown>;
}

let t: TestApi;
let document: { openapi: string; paths: Record<string, Record<string, Operation>>; components: Record<string, Record<string, unknown>> };
beforeAll(async () => {
  t = await testApi();
  document = (await t.call("GET", "/v1/openapi.json", { token: null })).json as typeof document;
});
afterAll(() => t.close());

test("is OpenAPI 3.1, and every route has a name of its own, a summary, what it needs and how it fails", () => {
  expect(document.openapi).toBe("3.1.0");
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ route: `${method} ${path}`, ...operation })),
  );
  const ids = all.map((operation) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(all.filter((operation) => !operation.summary || operation.tags.length === 0 || !operation.responses["default"])).toEqual([]);
  expect(
    all
      .filter((operation) => !operation.security)
      .map((operation) => operation.route)
      .sort(),
  ).toEqual(["get /healthz", "get /readyz", "get /v1/openapi.json"]);
});

test("refers to nothing that it lacks", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/([^/]+)\/([^"]+)"/g)];
  expect(references.length).toBeGreaterThan(20);
  expect(references.filter(([, group, name]) => document.components[group as string]?.[name as string] === undefined)).toEqual([]);
});

test("says that specs may be YAML, and streams streams", () => {
  expect(Object.keys(document.paths["/v1/jobs"]?.["post"]?.requestBody?.content ?? {})).toEqual(["application/json", "application/yaml"]);
  expect(JSON.stringify(document.paths["/v1/events/stream"]?.["get"]?.responses["200"])).toContain("text/event-stream");
});

test("is shown by a page that loads nothing from elsewhere", async () => {
  const page = await t.call("GET", "/docs/", { token: null });
  expect(page.status).toBe(200);
  expect(page.text).toContain("/v1/openapi.json");
  expect([...page.text.matchAll(/(?:src|href)="(https?:)?\/\//g)]).toEqual([]);
  expect(String(page.headers["content-security-policy"])).toContain("default-src 'self'");
});
