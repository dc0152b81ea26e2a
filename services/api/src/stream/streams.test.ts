import { request, type ClientRequest } from "node:http";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { appendEvents, transaction } from "@muster/store";
import { logKey } from "@muster/logs";
import { endAttempt, startAttempt } from "../testing/start-attempt.ts";
import { testApi, type TestApi } from "../testing/test-api.ts";

interface Message {
  id: string | undefined;
  data: { kind?: string; job?: string; id?: string; text?: string; end?: boolean; offset?: number; next?: number };
}

class Reader {
  status = 0;
  text = "";
  ended = false;
  #request: ClientRequest;

  constructor(url: string, token: string, headers: Record<string, string> = {}) {
    this.#request = request(url, { headers: { authorization: `Bearer ${token}`, ...headers } }, (response) => {
      this.status = response.statusCode ?? 0;
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (this.text += chunk));
      response.on("close", () => (this.ended = true));
    });
    this.#request.on("error", () => (this.ended = true));
    this.#request.end();
  }

  get messages(): Message[] {
    return this.text
      .split("\n\n")
      .filter((block) => block.includes("data: "))
      .map((block) => ({ id: /^id: (.*)$/m.exec(block)?.[1], data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? "null") as Message["data"] }));
  }

  close(): void {
    this.#request.destroy();
  }
}

let t: TestApi;
let url: string;
const readers: Reader[] = [];
beforeAll(async () => {
  t = await testApi({ streams: 3, streamCheck: 100 });
  url = await t.api.listen({ host: "127.0.0.1", port: 0 });
});
afterAll(async () => {
  for (const reader of readers) reader.close();
  await t.close();
});

function open(path: string, token = t.admin, headers: Record<string, string> = {}): Reader {
  const reader = new Reader(`${url}${path}`, token, headers);
  readers.push(reader);
  return reader;
}
const eventually = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 20 });
async function submit(project: string, name = "train"): Promise<string> {
  return ((await t.call("POST", "/v1/jobs", { body: { name, project, run: ["true"] } })).json as { id: string }).id;
}

test("a stream ends with its token, and when that may see something else", async () => {
  const revoked = await t.token("viewer", "own", "leaver");
  const member = await t.token("viewer", null, "mover");
  const stays = await t.token("viewer", "own", "stayer");
  const [a, b, c] = [open("/v1/events/stream", revoked), open("/v1/events/stream", member), open("/v1/events/stream", stays)];
  await eventually(() => expect([a.status, b.status, c.status]).toEqual([200, 200, 200]));
  const tokens = (await t.call("GET", "/v1/tokens")).json as { items: { id: string; subject: string }[] };
  await t.call("DELETE", `/v1/tokens/${tokens.items.find((one) => one.subject === "leaver")?.id}`);
  await eventually(() => expect(a.ended).toBe(true));
  await t.call("PUT", "/v1/projects/own", { body: { name: "own", members: { mover: "operator" } } });
  await eventually(() => expect(b.ended).toBe(true));
  expect(c.ended).toBe(false);
  c.close();
});

test("events come in order, once each, also across a lost connection", async () => {
  const token = await t.token("viewer", null, "watcher");
  const first = open("/v1/events/stream?kind=job.", token);
  await eventually(() => expect(first.status).toBe(200));
  const ids = [await submit("own"), await submit("other")];
  await eventually(() => expect(first.messages.map((message) => message.data.job)).toEqual(ids));
  const seen = first.messages[0];
  expect(seen?.id).toBe(seen?.data.id);
  first.close();
  ids.push(await submit("own"), await submit("own"));
  const second = open("/v1/events/stream?kind=job.", token, { "last-event-id": seen?.id ?? "" });
  await eventually(() => expect(second.messages.map((message) => message.data.job)).toEqual(ids.slice(1)));
  ids.push(await submit("own"));
  await eventually(() => expect(second.messages.map((message) => message.data.job)).toEqual(ids.slice(1)));
  second.close();
});

test("what commits late is not passed over", async () => {
  const token = await t.token("viewer", null, "patient");
  const reader = open("/v1/events/stream?kind=test.", token);
  await eventually(() => expect(reader.status).toBe(200));
  await transaction(t.pool, async (client) => {
    await appendEvents(client, [{ kind: "test.early", actor: "a" }]);
    await appendEvents(t.pool, [{ kind: "test.late", actor: "a" }]);
  });
  await eventually(() => expect(reader.messages.map((message) => message.data.kind)).toEqual(["test.early", "test.late"]));
  reader.close();
});

test("a stream shows only the token's project", async () => {
  const reader = open("/v1/events/stream", await t.token("viewer", "own", "insider"));
  await eventually(() => expect(reader.status).toBe(200));
  await submit("other", "hidden");
  const shown = await submit("own", "shown");
  await eventually(() => expect(reader.messages.map((message) => message.data.job)).toEqual([shown]));
  reader.close();
});

test("a token has so many streams and no more", async () => {
  const token = await t.token("viewer", null, "greedy");
  const all = [1, 2, 3].map(() => open("/v1/events/stream", token));
  for (const reader of all) await eventually(() => expect(reader.status).toBe(200));
  const refused = await t.call("GET", "/v1/events/stream", { token });
  expect(refused.json).toMatchObject({ status: 429, code: "too_many_streams" });
  all[0]?.close();
  await eventually(async () => {
    const reader = open("/v1/events/stream", token);
    await eventually(() => expect(reader.status).not.toBe(0));
    expect(reader.status).toBe(200);
  });
});

test("an id that is none is refused", async () => {
  expect((await t.call("GET", "/v1/events/stream", { headers: { "last-event-id": "yesterday" } })).json).toMatchObject({ status: 400 });
});

test("logs: a part, the last lines, and following to the end", async () => {
  const job = await submit("own", "writer");
  const incarnation = await startAttempt(t.pool, job, "n2");
  const key = logKey({ job, incarnation, attempt: 1, worker: "worker-0" });
  await t.logs.append(key, 0, Buffer.from("one\ntwo\nthré\n"));
  expect((await t.call("GET", `/v1/jobs/${job}/logs`)).text).toBe("one\ntwo\nthré\n");
  expect((await t.call("GET", `/v1/jobs/${job}/logs?tail=2`)).text).toBe("two\nthré\n");
  expect((await t.call("GET", `/v1/jobs/${job}/logs?tail=0`)).text).toBe("");
  const part = await t.call("GET", `/v1/jobs/${job}/logs?offset=4&limit=3&worker=worker-0&attempt=1`);
  expect([part.text, part.headers["muster-log-next"]]).toEqual(["two", "7"]);
  expect((await t.call("GET", `/v1/jobs/${job}/logs?worker=worker-9`)).json).toMatchObject({ status: 404 });
  const reader = open(`/v1/jobs/${job}/logs?follow=true&tail=1`);
  await eventually(() => expect(reader.messages.map((message) => message.data)).toEqual([{ offset: 8, next: 14, text: "thré\n", end: false }]));
  await t.pool.query("UPDATE workers SET output_size = 19, kept_size = 14 WHERE job = $1", [job]);
  await endAttempt(t.pool, job);
  await t.logs.append(key, 14, Buffer.from("four\n"));
  await eventually(() => expect(reader.messages).toHaveLength(2));
  expect(reader.ended).toBe(false);
  await t.pool.query("UPDATE workers SET kept_size = 19 WHERE job = $1", [job]);
  await eventually(() => expect(reader.ended).toBe(true));
  expect(reader.messages.slice(1).map((message) => message.data)).toEqual([
    { offset: 14, next: 19, text: "four\n", end: false },
    { offset: 19, next: 19, text: "", end: true },
  ]);
});

test("following a job that ended before it began ends", async () => {
  const job = await submit("own", "never-ran");
  const reader = open(`/v1/jobs/${job}/logs?follow=true`);
  await eventually(() => expect(reader.status).toBe(200));
  expect(reader.ended).toBe(false);
  await t.call("POST", `/v1/jobs/${job}/cancel`);
  await eventually(() => expect(reader.ended).toBe(true));
  expect(reader.messages.map((message) => message.data)).toEqual([{ offset: 0, next: 0, text: "", end: true }]);
});

test("closing ends open streams at once", async () => {
  const own = await testApi();
  const address = await own.api.listen({ host: "127.0.0.1", port: 0 });
  const reader = new Reader(`${address}/v1/events/stream`, own.admin);
  await eventually(() => expect(reader.status).toBe(200));
  await own.close();
  await eventually(() => expect(reader.ended).toBe(true));
});
