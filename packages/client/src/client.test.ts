import { afterEach, beforeEach, expect, test } from "vitest";
import { AnswerError, ConnectionError, MusterClient, ProblemError, TimeoutError } from "./index.ts";
import { FakeServer, fakeProblem, startStream } from "./testing/fake-server.ts";
import { JOB_ID, sampleEvent, sampleJob } from "./testing/samples.ts";

let server: FakeServer;
let client: MusterClient;
beforeEach(async () => {
  server = await new FakeServer().start();
  client = new MusterClient({ url: server.url, token: "secret", backoff: { first: 0.001, limit: 0.01 } });
});
afterEach(() => server.stop());

const spec = { name: "train", run: ["true"] };

test("sends the token in the header and never in the address", async () => {
  server.on("GET /v1/jobs/{id}", sampleJob());
  await client.jobs.get(JOB_ID);
  expect(server.requests[0]?.headers.authorization).toBe("Bearer secret");
  expect(server.requests[0]?.query.size).toBe(0);
});

test("repeats a read through outages, and gives up after the last try", async () => {
  let tries = 0;
  server.on("GET /v1/jobs/{id}", (_, response) => {
    tries++;
    if (tries === 1) {
      response.destroy();
      return undefined;
    }
    return tries < 4 ? { status: 503, body: fakeProblem(503, "not_ready", "starting") } : { body: sampleJob() };
  });
  expect((await client.jobs.get(JOB_ID)).name).toBe("train");
  expect(tries).toBe(4);
  server.on("GET /v1/me", () => ({ status: 502, body: "bad gateway" }));
  await expect(client.me()).rejects.toMatchObject({ status: 502, code: "http_502" });
  expect(server.seen("GET", "/v1/me")).toHaveLength(5);
});

test("a create that broke half-way is repeated with the same key", async () => {
  let tries = 0;
  server.on("POST /v1/jobs", (_, response) => {
    if (++tries < 3) {
      response.destroy();
      return undefined;
    }
    return { status: 201, body: sampleJob() };
  });
  await client.jobs.submit(spec);
  await client.jobs.submit(spec);
  const keys = server.seen("POST", "/v1/jobs").map((request) => request.headers["idempotency-key"]);
  expect(new Set(keys.slice(0, 3)).size).toBe(1);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(keys[3]).not.toBe(keys[0]);
});

test("an action whose end is unknown is not repeated, one that was refused for now is", async () => {
  server.on("POST /v1/jobs/{id}/requeue", (_, response) => {
    response.destroy();
    return undefined;
  });
  await expect(client.jobs.act(JOB_ID, "requeue")).rejects.toBeInstanceOf(ConnectionError);
  expect(server.requests).toHaveLength(1);
  let tries = 0;
  server.on("POST /v1/jobs/{id}/cancel", () =>
    ++tries === 1 ? { status: 429, headers: { "retry-after": "0" }, body: fakeProblem(429, "too_many", "slow down") } : { body: sampleJob() },
  );
  await client.jobs.act(JOB_ID, "cancel", "no longer needed");
  expect(server.seen("POST", `/v1/jobs/${JOB_ID}/cancel`)[1]?.body).toEqual({ reason: "no longer needed" });
});

test("a refusal comes with its code and its fields, and is not repeated", async () => {
  server.on("POST /v1/jobs", () => ({
    status: 422,
    body: fakeProblem(422, "invalid", "the job spec is invalid", [{ path: "nodes", message: "expected a number" }]),
  }));
  const error = await client.jobs.submit(spec).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ProblemError);
  expect(error).toMatchObject({ code: "invalid", status: 422, requestId: "req_1", errors: [{ path: "nodes", message: "expected a number" }] });
  expect(server.requests).toHaveLength(1);
});

test("says what could not be understood", async () => {
  server.on("GET /v1/jobs/{id}", { ...sampleJob(), state: "dreaming" });
  await expect(client.jobs.get(JOB_ID)).rejects.toThrow(/state: .*queued/);
  server.on("GET /v1/me", () => ({ body: "<html>" }));
  await expect(client.me()).rejects.toBeInstanceOf(AnswerError);
});

test("does not follow a redirect, which would take the token elsewhere", async () => {
  server.on("GET /v1/me", () => ({ status: 302, headers: { location: "/v1/other" }, body: "" }));
  await expect(client.me()).rejects.toMatchObject({ status: 302 });
  expect(server.seen("GET", "/v1/other")).toHaveLength(0);
});

test("a time limit and the caller's signal end a call", async () => {
  server.on("GET /v1/me", () => undefined);
  await expect(new MusterClient({ url: server.url, timeout: 0.05, backoff: { tries: 1 } }).me()).rejects.toBeInstanceOf(TimeoutError);
  const abort = new AbortController();
  const call = client.me({ signal: abort.signal });
  abort.abort(new Error("enough"));
  await expect(call).rejects.toThrow("enough");
});

test("nothing listening is told with the address", async () => {
  const { url } = server;
  await server.stop();
  await expect(client.me()).rejects.toThrow(`can't reach ${url}: connection refused`);
});

test("pages are asked for as they are needed", async () => {
  server.on("GET /v1/jobs", ({ query }) => ({
    body: query.get("cursor") === null ? { items: [sampleJob({ name: "a" })], next_cursor: "c1" } : { items: [sampleJob({ name: "b" })], next_cursor: null },
  }));
  const names: string[] = [];
  for await (const job of client.jobs.list({ state: "running", limit: 1 })) {
    names.push(job.name);
    expect(server.requests).toHaveLength(names.length);
  }
  expect(names).toEqual(["a", "b"]);
  expect(server.requests[1]?.query.get("state")).toBe("running");
});

test("the same cursor twice is an error, not a loop", async () => {
  server.on("GET /v1/nodes", { items: [], next_cursor: "same" });
  const readAll = async (): Promise<void> => {
    for await (const _ of client.nodes.list());
  };
  await expect(readAll()).rejects.toThrow("same page twice");
});

test("a name is the newest job of exactly that name", async () => {
  server.on("GET /v1/jobs", { items: [sampleJob({ name: "train-2" }), sampleJob({ version: 9 })], next_cursor: null });
  expect((await client.jobs.newestByName("train", "p1"))?.version).toBe(9);
  expect(server.requests[0]?.query.toString()).toBe("name=train&project=p1&sort=-submitted_at");
  expect(await client.jobs.newestByName("tra")).toBeUndefined();
});

test("an event stream resumes after the last event that was seen", async () => {
  let connections = 0;
  server.on("GET /v1/events/stream", (_, response) => {
    const send = startStream(response);
    if (++connections === 1) {
      response.write(": hello\n\n");
      send({ id: "5", data: sampleEvent({ id: "5" }) });
      response.write(`data: {"half`, () => response.destroy());
    } else send({ id: "6", data: sampleEvent({ id: "6" }) });
    return undefined;
  });
  const seen: string[] = [];
  let lost = 0;
  for await (const event of client.streamEvents({ job: JOB_ID, lastEventId: "4", onReconnect: () => lost++ })) {
    seen.push(event.id);
    if (event.id === "6") break;
  }
  expect(seen).toEqual(["5", "6"]);
  expect(lost).toBe(1);
  expect(server.requests.map((request) => request.headers["last-event-id"])).toEqual(["4", "5"]);
  expect(server.requests[0]?.query.get("job")).toBe(JOB_ID);
});

test("a stream that is refused ends with the refusal", async () => {
  server.on("GET /v1/events/stream", () => ({ status: 403, body: fakeProblem(403, "forbidden", "not yours") }));
  await expect(client.streamEvents().next()).rejects.toMatchObject({ code: "forbidden" });
});

test("a followed log takes up where it broke and ends with the log", async () => {
  server.on("GET /v1/jobs/{id}/logs", ({ query }, response) => {
    const send = startStream(response);
    if (query.get("offset") === null) {
      send({ data: { offset: 100, next: 104, text: "one\n", end: false } });
      response.end();
    } else {
      send({ data: { offset: 104, next: 108, text: "two\n", end: false } });
      send({ data: { offset: 108, next: 108, text: "", end: true } });
    }
    return undefined;
  });
  const text: string[] = [];
  for await (const chunk of client.jobs.followLogs(JOB_ID, { worker: "worker-0", tail: 10 })) text.push(chunk.text);
  expect(text.join("")).toBe("one\ntwo\n");
  expect(server.requests.map((request) => request.query.toString())).toEqual(["worker=worker-0&tail=10&follow=true", "worker=worker-0&offset=104&follow=true"]);
});

test("a log is read part by part, and a character between two parts stays whole", async () => {
  const log = Buffer.from("grüße\nende\n");
  server.on("GET /v1/jobs/{id}/logs", ({ query }, response) => {
    const offset = query.has("tail") ? 0 : Number(query.get("offset"));
    const bytes = log.subarray(offset, offset + 3);
    response
      .writeHead(200, { "muster-log-offset": String(offset), "muster-log-next": String(offset + bytes.length), "muster-log-size": String(log.length) })
      .end(bytes);
    return undefined;
  });
  let text = "";
  for await (const part of client.jobs.logs(JOB_ID, { worker: "worker-0", tail: 5 })) text += part;
  expect(text).toBe("grüße\nende\n");
  expect(server.requests.map((request) => request.query.get("tail"))).toEqual(["5", ...Array.from({ length: 4 }, () => null)]);
});
