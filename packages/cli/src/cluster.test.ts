import { parse } from "yaml";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  FakeServer,
  JOB_ID,
  fakeProblem,
  sampleEvent,
  sampleJob,
  sampleNode,
  samplePool,
  sampleQueue,
  sampleWindow,
  startStream,
} from "@muster/client/testing";
import { run } from "./testing/run.ts";

let server: FakeServer;
beforeEach(async () => {
  server = await new FakeServer().start();
});
afterEach(() => server.stop());

const cli = (args: string, more: { stdin?: string; signal?: AbortSignal } = {}) => run(args.split(" "), { url: server.url, ...more });
const page = (...items: unknown[]) => ({ items, next_cursor: null });
const words = (text: string, line: number) => text.split("\n")[line]?.split(/ {2,}/);

test("nodes are shown with devices allocated, idle, otherwise and in all", async () => {
  server.on(
    "GET /v1/nodes",
    page(
      sampleNode(),
      sampleNode({
        name: "alpha-2",
        held: [1000, 0, 0, 0],
        schedulable: false,
        health: "cordoned",
        health_reason: "fan is loud",
        health_actor: "anna",
        jobs: [],
      }),
    ),
  );
  const { out } = await cli("node list --pool alpha");
  expect(words(out, 0)).toEqual(["NODE", "POOL", "LEAF", "HEALTH", "SCHED", "DEV(A/I/O/T)", "JOBS", "REASON", "SINCE"]);
  expect(words(out, 1)).toEqual(["alpha-1", "alpha", "l1", "ready", "yes", "3/1/0/4", "train", "-", "5m00s"]);
  expect(words(out, 2)).toEqual(["alpha-2", "alpha", "l1", "cordoned", "no", "1/0/3/4", "-", "fan is loud (anna)", "5m00s"]);
  expect(server.requests[0]?.query.get("pool")).toBe("alpha");
  expect((await cli("get nodes -o name")).out).toBe("alpha-1\nalpha-2\n");
});

test("cordon and drain need a reason, and send it", async () => {
  server.on("POST /v1/nodes/{name}/drain", sampleNode({ health: "draining", drain_deadline: "2026-03-01T11:00:00.000Z" }));
  expect(await cli("node drain alpha-1")).toMatchObject({ code: 2, err: expect.stringContaining("--reason") });
  expect((await run(["node", "drain", "alpha-1", "--reason", "new fan", "--deadline", "1h"], { url: server.url })).out).toBe(
    "alpha-1 draining until 2026-03-01T11:00:00.000Z\n",
  );
  expect(server.requests).toHaveLength(1);
  expect(server.requests[0]?.body).toEqual({ reason: "new fan", deadline: 3600 });
});

test("a node that is gone for good is deleted", async () => {
  server.on("DELETE /v1/nodes/alpha-1", () => ({ status: 204, body: "" }));
  expect(await cli("node delete alpha-1 -y")).toMatchObject({ code: 0, out: "alpha-1 deleted\n" });
  server.on("DELETE /v1/nodes/alpha-2", () => ({ status: 409, body: fakeProblem(409, "in_use", "Node alpha-2 has work; drain it first") }));
  expect(await cli("node delete alpha-2 -y")).toMatchObject({ code: 5, out: "", err: expect.stringContaining("drain it first") });
});

test("pools, and a queue with what waits in it", async () => {
  server.on("GET /v1/pools", page(samplePool()));
  expect(words((await cli("pool list")).out, 1)).toEqual(["alpha", "a100", "local", "1/2", "3/1/4/8", "100%", "8:0 2:1", "1"]);
  server.on("GET /v1/queues/{name}", sampleQueue());
  server.on("GET /v1/jobs", page(sampleJob({ state: "queued", wait_reason: "quota_exhausted" })));
  const { out } = await cli("queue get default");
  expect(out).toContain("name: default\n");
  expect(out).toMatch(/waiting, longest first\nJOB .*\ntrain .*quota_exhausted/);
});

test("windows are made, listed and deleted", async () => {
  server.on("PUT /v1/windows/{name}", sampleWindow());
  server.on("GET /v1/windows", page(sampleWindow(), sampleWindow({ name: "course", pool: undefined, block: [], nodes: ["a-1"], queues: ["guests"] })));
  server.on("DELETE /v1/windows/leaf-7", () => ({ status: 204, body: "" }));
  const made = await cli("window create leaf-7 --pool alpha --block spine-1/leaf-7 --start 2026-03-02T08:00:00Z --for 2h --queue guests");
  expect(made.out).toBe("leaf-7: 16 nodes from 2026-03-02T08:00:00.000Z to 2026-03-02T10:00:00.000Z\n");
  expect(server.requests[0]?.body).toMatchObject({ block: ["spine-1", "leaf-7"], end: "2026-03-02T10:00:00.000Z", queues: ["guests"] });
  const { out } = await cli("window list");
  expect(words(out, 1)?.slice(-3)).toEqual(["16", "alpha/spine-1/leaf-7", "maintenance"]);
  expect(words(out, 2)?.slice(-2)).toEqual(["a-1", "queue guests"]);
  expect(await cli("window create x --start soon")).toMatchObject({ code: 2, err: expect.stringContaining("--start") });
  expect(await cli("window delete leaf-7 -y")).toMatchObject({ code: 0, out: "leaf-7 deleted\n" });
});

const documents = `
kind: node
name: a-1
pool: a
devices: 4
cpus: 8
memory: 16Gi
---
kind: queue
name: child
parent: root
---
kind: queue
name: root
---
kind: pool
name: a
vendor: nvidia
accelerator: a100
`;

test("apply puts what is named before what names it, and says what it did", async () => {
  server.on("PUT /v1/pools/a", ({ body }) => ({ status: 201, body: samplePool({ ...(body as object), name: "a" }) }));
  server.on("GET /v1/queues/root", sampleQueue({ name: "root" }));
  server.on("PUT /v1/queues/root", sampleQueue({ name: "root", waiting: { jobs: 9, devices: 9 } }));
  server.on("GET /v1/queues/child", sampleQueue({ name: "child" }));
  server.on("PUT /v1/queues/child", sampleQueue({ name: "child", parent: "root" }));
  server.on("PUT /v1/nodes/a-1", sampleNode({ name: "a-1" }));
  const { code, out } = await cli("apply -f - --dry-run", { stdin: documents });
  expect(code).toBe(0);
  expect(out).toBe("pool/a created (dry run)\nqueue/root unchanged (dry run)\nqueue/child changed (dry run)\nnode/a-1 created (dry run)\n");
  const puts = server.requests.filter((request) => request.method === "PUT");
  expect(puts.every((request) => request.query.get("dry_run") === "true")).toBe(true);
  expect((await cli("apply -f - -o name", { stdin: documents })).out).toBe("pool/a\nqueue/root\nqueue/child\nnode/a-1\n");
});

test.each([
  ["kind: pol\nname: a\n", "write kind: and one of pool, node, queue, project"],
  ["name: a\n", "standard input, document 2 has no kind"],
  ["kind: job\nname: a\n", "muster job submit -f"],
  ["kind: queue\nname: a\nwieght: 2\n", "wieght: unknown field; did you mean weight?"],
  ["kind: node\nname: A!\npool: a\ndevices: 1\ncpus: 1\nmemory: 1Gi\n", "name: expected lower-case letters"],
])("apply refuses %j before the first change", async (text, message) => {
  const ended = await cli("apply -f -", { stdin: `kind: project\nname: fine\n---\n${text}` });
  expect(ended).toMatchObject({ code: 2, out: "", err: expect.stringContaining(message) });
  expect(server.requests).toEqual([]);
});

test("a new token is alone on standard output", async () => {
  const token = {
    id: "tok_1",
    subject: "ci",
    project: "research",
    role: "submitter",
    description: "",
    created_at: "2026-03-01T10:00:00.000Z",
    expires_at: null,
    last_used_at: null,
  };
  server.on("POST /v1/tokens", { ...token, token: "mst_secret" });
  const { code, out, err } = await cli("token create ci --role submitter -p research --expires-in 30d");
  expect({ code, out }).toEqual({ code: 0, out: "mst_secret\n" });
  expect(err).toContain("can't be shown again");
  expect(server.requests[0]?.body).toEqual({ subject: "ci", role: "submitter", project: "research", description: "", expires_in: 2_592_000 });
  expect(await cli("token create ci --role king")).toMatchObject({ code: 2, err: expect.stringContaining("viewer, submitter, operator, admin") });
  server.on("DELETE /v1/tokens/{id}", () => ({ status: 204, body: "" }));
  expect((await cli("token revoke tok_1")).out).toBe("tok_1 revoked\n");
});

test("events are the newest in the order in which they happened", async () => {
  const event = (id: number) => sampleEvent({ id: `1-${id}`, at: `2026-03-01T10:00:0${id}.000Z` });
  server.on("GET /v1/events", page(event(4), event(3), event(2), event(1)));
  const ids = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).id);
  expect(ids((await cli("events -o jsonl --kind job. --node n1")).out)).toEqual(["1-1", "1-2", "1-3", "1-4"]);
  expect(server.requests[0]?.query.toString()).toBe("node=n1&kind=job.&limit=101");
  expect(ids((await cli("events -o jsonl --since 2026-03-01T10:00:03Z")).out)).toEqual(["1-3", "1-4"]);
  const some = await cli("events -o jsonl --limit 2");
  expect(ids(some.out)).toEqual(["1-3", "1-4"]);
  expect(some.err).toContain("the newest 2 are shown");
});

test("watched events are lines of JSON, first those since, then as they come", async () => {
  const stop = new AbortController();
  server.on(
    "GET /v1/events",
    page(sampleEvent({ id: "1-2", at: "2026-03-01T10:00:02.000Z" }), sampleEvent({ id: "1-1" }), sampleEvent({ id: "1-0", at: "2026-02-01T10:00:00.000Z" })),
  );
  server.on("GET /v1/events/stream", (request, response) => {
    expect(request.headers["last-event-id"]).toBe("1-2");
    const send = startStream(response);
    send({ id: "1-3", data: sampleEvent({ id: "1-3", node: "alpha-1" }) });
    setTimeout(() => stop.abort(), 50);
    return undefined;
  });
  const { code, out } = await cli("events -w --since 2026-03-01 -o json", { signal: stop.signal });
  expect(code).toBe(130);
  expect(
    out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).id),
  ).toEqual(["1-1", "1-2", "1-3"]);
});

test("a watched list prints what is new or changed, as lines of JSON", async () => {
  const stop = new AbortController();
  let looks = 0;
  server.on("GET /v1/jobs", () => {
    looks++;
    if (looks === 2) setTimeout(() => stop.abort(), 50);
    const other = JOB_ID.replace(/0$/, "1");
    return { body: looks === 1 ? page(sampleJob()) : page(sampleJob(), sampleJob({ id: other })) };
  });
  const { code, out } = await cli("job list -w -o json", { signal: stop.signal });
  expect(code).toBe(130);
  expect(
    out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).id.at(-1)),
  ).toEqual(["0", "1"]);
});

test("get shows any kind of thing, in YAML that apply takes names from", async () => {
  server.on("GET /v1/pools/{name}", samplePool());
  expect(parse((await cli("get pool alpha -o yaml")).out)).toEqual(samplePool());
  server.on("GET /v1/projects/{name}", () => ({ status: 404, body: fakeProblem(404, "not_found", "there is no project x") }));
  expect((await cli("get project x")).code).toBe(4);
});

test("what time went into: the sum, each queue, the phases of recoveries and the costliest faults", async () => {
  const total = {
    jobs: 3,
    ettr: 0.9712,
    goodput: 0.99,
    productive_device_hours: 97.12,
    wall_device_hours: 100,
    wasted_device_hours: { start: 0.5, infrastructure: 2.38 },
  };
  server.on("GET /v1/accounting", {
    as_of: "2026-03-01T10:05:00.000Z",
    since: "2026-02-28T10:05:00.000Z",
    partial: false,
    total,
    queues: [{ queue: "default", ...total }],
    recoveries: { total: { p50: 65, p99: 190, count: 4 }, phases: { detect: { p50: 5, p99: 26, count: 4 } } },
    faults: [{ rule: "node_lost", class: "infrastructure", attempts: 4, device_hours: 2.38 }],
  });
  const { out } = await cli("accounting --since 24h -q default");
  expect(server.requests[0]?.query.toString()).toBe("since=86400&queue=default");
  expect(out).toMatch(/ETTR +97\.1 % \(97\.12 of 100\.00 device-hours productive\)/);
  expect(out).toMatch(/wasted +device-hours: 2\.38 by infrastructure, 0\.50 by start/);
  expect(out).toMatch(/recovered +4 times, p50 1m05s, p99 3m10s/);
  expect(out).toMatch(/QUEUE .*\ndefault +3 +97\.1 % +99\.0 % /);
  expect(out).toMatch(/PHASE .*\ndetect +5\.?0?s? +26/);
  expect(out).toMatch(/RULE .*\nnode_lost +infrastructure +4 +2\.38/);
  expect(JSON.parse((await cli("accounting -o json")).out)).toMatchObject({ total });
});
