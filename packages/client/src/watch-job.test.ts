import { afterEach, beforeEach, expect, test } from "vitest";
import { MusterClient, watchJob, watchJobs } from "./index.ts";
import { FakeServer, fakeProblem, startStream } from "./testing/fake-server.ts";
import { JOB_ID, sampleEvent, sampleJob } from "./testing/samples.ts";

let server: FakeServer;
let client: MusterClient;
beforeEach(async () => {
  server = await new FakeServer().start();
  client = new MusterClient({ url: server.url, backoff: { tries: 1, first: 0.001, limit: 0.01 } });
});
afterEach(() => server.stop());

test("an event wakes the watch, which ends with the job", async () => {
  const states = ["running", "running", "succeeded"] as const;
  let looks = 0;
  let send: ((message: { id?: string; data: unknown }) => void) | undefined;
  server.on("GET /v1/events/stream", (_, response) => {
    send = startStream(response);
    send({ id: "1", data: sampleEvent() });
    return undefined;
  });
  server.on("GET /v1/jobs/{id}", () => {
    looks++;
    // nothing but events would bring the next look: the interval is an hour
    setTimeout(() => send?.({ id: String(looks + 1), data: sampleEvent() }), 10);
    return { body: sampleJob({ state: states[Math.min(looks - 1, 2)] ?? "succeeded" }) };
  });
  const seen: string[] = [];
  for await (const job of watchJob(client, JOB_ID, { interval: 3600 })) seen.push(job.state);
  expect(seen).toEqual(["running", "succeeded"]);
});

test("without a stream it looks from time to time, and an outage is waited for", async () => {
  let looks = 0;
  server.on("GET /v1/events/stream", () => ({ status: 404, body: fakeProblem(404, "not_found", "none") }));
  server.on("GET /v1/jobs/{id}", () => {
    looks++;
    if (looks === 2 || looks === 3) return { status: 503, body: fakeProblem(503, "not_ready", "starting") };
    return { body: sampleJob({ state: looks === 1 ? "running" : "failed" }) };
  });
  const seen: string[] = [];
  let outages = 0;
  for await (const job of watchJob(client, JOB_ID, { interval: 0.01, onUnreachable: () => outages++ })) seen.push(job.state);
  expect(seen).toEqual(["running", "failed"]);
  expect(outages).toBe(1);
});

test("a job that is gone, or a signal, ends the watch", async () => {
  await expect(watchJob(client, JOB_ID).next()).rejects.toMatchObject({ status: 404 });
  server.on("GET /v1/jobs/{id}", sampleJob());
  const abort = new AbortController();
  const watch = watchJob(client, JOB_ID, { signal: abort.signal });
  await watch.next();
  abort.abort(new Error("enough"));
  await expect(watch.next()).rejects.toThrow("enough");
});

test("many elements of an array are looked at by lists, over one stream", async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `job_01k5zq3v8h00000000000000${String(i).padStart(2, "0")}`);
  const elements = (state: "queued" | "succeeded") => ids.map((id, index) => sampleJob({ id, state, array: { id: ids[0] ?? "", index } }));
  let lists = 0;
  server.on("GET /v1/events/stream", (_, response) => {
    startStream(response);
    return undefined;
  });
  server.on("GET /v1/jobs", () => ({ body: { items: elements(++lists === 1 ? "queued" : "succeeded"), next_cursor: null } }));
  const seen: string[] = [];
  for await (const job of watchJobs(client, elements("queued"), { interval: 0.01 })) seen.push(job.state);
  expect(seen).toEqual([...ids.map(() => "queued"), ...ids.map(() => "succeeded")]);
  expect(server.seen("GET", "/v1/events/stream")).toHaveLength(1);
  expect(server.seen("GET", "/v1/jobs")[0]?.query.get("array")).toBe(ids[0]);
});
