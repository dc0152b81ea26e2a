import { parse } from "yaml";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  FakeServer,
  JOB_ID,
  fakeProblem,
  sampleAttempt,
  sampleEvent,
  sampleExplanation,
  sampleJob,
  samplePlan,
  sampleWorker,
  startStream,
} from "@muster/client/testing";
import { run } from "./testing/run.ts";

let server: FakeServer;
beforeEach(async () => {
  server = await new FakeServer().start();
});
afterEach(() => server.stop());

const cli = (args: string | readonly string[], more: { stdin?: string; terminal?: boolean; env?: Record<string, string> } = {}) =>
  run(typeof args === "string" ? args.split(" ") : [...args], { url: server.url, ...more });
const page = (...items: unknown[]) => ({ items, next_cursor: null });
const job = "name: train\nrun: [python3, train.py]\n";

test("a list is a table with its columns in the agreed order, without a trailing space", async () => {
  server.on(
    "GET /v1/jobs",
    page(sampleJob(), sampleJob({ name: "big", state: "queued", wait_reason: "insufficient_capacity", pools: [], run_seconds: 0, workers: null })),
  );
  const { code, out, err } = await cli("job list");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const lines = out.trimEnd().split("\n");
  expect(lines[0]?.split(/ +/)).toEqual(["ID", "NAME", "QUEUE", "PRIO", "STATE", "NODES", "POOL", "AGE", "RUN", "RESTARTS", "REASON"]);
  expect(lines[1]?.split(/ +/)).toEqual([JOB_ID, "train", "default", "normal", "running", "2", "alpha", "5m00s", "5m00s", "0", "-"]);
  expect(lines[2]?.split(/ +/).slice(4)).toEqual(["queued", "2", "-", "5m00s", "-", "0", "insufficient_capacity"]);
  expect(out).not.toMatch(/ $/m);
});

test("the same list in every other format", async () => {
  server.on("GET /v1/jobs", page(sampleJob(), sampleJob({ name: "b" })));
  expect(JSON.parse((await cli("job list -o json")).out)).toEqual([sampleJob(), sampleJob({ name: "b" })]);
  expect(parse((await cli("job list -o yaml")).out)).toEqual([sampleJob(), sampleJob({ name: "b" })]);
  expect(
    (await cli("job list -o jsonl")).out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).name),
  ).toEqual(["train", "b"]);
  expect((await cli("job list -o name")).out).toBe(`${JOB_ID}\n${JOB_ID}\n`);
  expect((await cli("job list -o wide")).out).toMatch(/PROJECT.*USER.*PROGRESS/);
  server.on("GET /v1/jobs", page());
  expect(await cli("job list")).toMatchObject({ code: 0, err: "nothing found\n" });
  expect((await cli("job list -o json")).out).toBe("[]\n");
});

test("filters go to the server", async () => {
  server.on("GET /v1/jobs", page());
  await cli("job list -q prod -p research --state running,queued -l team=base -l kind=a --limit 7 --since 2026-01-01T00:00:00Z --active");
  expect(Object.fromEntries(server.requests[0]?.query ?? [])).toEqual({
    queue: "prod",
    project: "research",
    state: "running,queued",
    label: "team=base,kind=a",
    limit: "8",
    submitted_since: "2026-01-01T00:00:00.000Z",
    active: "true",
  });
});

test("a longer list says that it is longer", async () => {
  server.on("GET /v1/jobs", page(sampleJob(), sampleJob(), sampleJob()));
  const { out, err } = await cli("job list --limit 2");
  expect(out.trimEnd().split("\n")).toHaveLength(3);
  expect(err).toContain("the first 2 are shown");
});

test.each([
  ["job list --state runing", 'there is no state "runing"; did you mean running?'],
  ["job list -l team", "expected key=value"],
  ["job list --limit many", "expected a whole number"],
  ["job list --since yesteryear", "expected how long ago"],
  ["job list --active --finished", "exclude each other"],
  ["job submit -f -", "holds no document"],
  ["job submit -f /nonexistent.yaml", "there is no such file"],
  ["job update train", "nothing to change"],
  ["job lst", "Did you mean one of list, ls?"],
  ["jb", "Did you mean job?"],
  ["get pols", "did you mean pool?"],
])("%s is a usage error that says what is right", async (args, message) => {
  expect(await cli(args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(message) });
  expect(server.requests).toEqual([]);
});

test("colours are for terminals that may have them", async () => {
  server.on("GET /v1/jobs", page(sampleJob()));
  const escape = "\u001b[";
  expect((await cli("job list", { terminal: true })).out).toContain(escape);
  expect((await cli("job list", { terminal: true, env: { NO_COLOR: "1" } })).out).not.toContain(escape);
  expect((await cli("job list", { terminal: true, env: { TERM: "dumb" } })).out).not.toContain(escape);
  expect((await cli("job list")).out).not.toContain(escape);
});

test("text of others can't steer the terminal", async () => {
  server.on(
    "GET /v1/jobs",
    page(
      sampleJob({
        state: "failed",
        failure: { class: "user", rule: "r", message: "\u001b[2Jgone\r\nID fake", worker: null, node: null, exit_code: 1, signal: null, evidence: [] },
      }),
    ),
  );
  const { out } = await cli("job list");
  expect(out).toContain("user: [2Jgone ID fake");
  expect(out.trimEnd().split("\n")).toHaveLength(2);
});

test("a job for people, with its attempts on one line of time", async () => {
  const failure = {
    class: "infrastructure" as const,
    rule: "signal",
    message: "killed by SIGKILL",
    worker: "worker-1",
    node: "alpha-2",
    exit_code: null,
    signal: "SIGKILL",
    evidence: [],
  };
  server.on("GET /v1/jobs/{id}", sampleJob({ attempt: 2 }));
  server.on(
    "GET /v1/jobs/{id}/attempts",
    page(
      sampleAttempt({ state: "ended", outcome: "failed", ended_at: "2026-03-01T10:02:30.000Z", failure }),
      sampleAttempt({
        number: 2,
        scheduled_at: "2026-03-01T10:02:31.000Z",
        starting_at: "2026-03-01T10:02:31.000Z",
        started_at: "2026-03-01T10:02:35.000Z",
        resumed_from_step: 100,
      }),
    ),
  );
  const { out, code } = await cli(`job get ${JOB_ID}`);
  expect(code).toBe(0);
  expect(out).toContain(`train  ${JOB_ID}\n`);
  expect(out).toMatch(/state +running for 4m50s/);
  expect(out).toMatch(/progress +step 120\/1000 \(12 %\), loss 2.5, 3.5\/s, 0s ago/);
  expect(out).toMatch(/ +1 {2}░█+·+ +8s +2m20s {2}1\.\.120 +alpha-1, alpha-2 +infrastructure: killed by SIGKILL/);
  expect(out).toMatch(/ +2 {2}·+█+ +4s +2m25s {2}100\.\.120/);
});

test("a name is resolved to the newest job of that name in the project", async () => {
  server.on("GET /v1/jobs", page(sampleJob({ name: "train-old" }), sampleJob()));
  server.on("GET /v1/jobs/{id}/explain", sampleExplanation());
  expect((await cli("job explain train -p research")).code).toBe(0);
  expect(server.requests[0]?.query.get("project")).toBe("research");
  const missing = await cli("job get trai");
  expect(missing).toMatchObject({ code: 4, out: "" });
  expect(missing.err).toContain("there is no job trai\nhint: muster job list");
});

test("explain answers in five lines", async () => {
  server.on("GET /v1/jobs/{id}", sampleJob({ array: { id: JOB_ID, index: 3 } }));
  server.on("GET /v1/jobs/{id}/explain", sampleExplanation());
  const { out } = await cli(`job explain ${JOB_ID}`);
  const lines = out.trimEnd().split("\n");
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["status", "ahead", "need", "diagnosis", "next"]);
  expect(lines[0]).toContain("train[3]: queued for 5m00s, insufficient_capacity (judged 2s ago)");
  expect(lines[1]).toContain("2 jobs with 8 devices: big, other; place 3 in line; may start by 2026-03-01T10:10:00.000Z");
  expect(lines[2]).toContain("2 nodes, 2 a100 each; free: alpha: 3 a100 devices, 0 whole nodes, room for a gang of 1 node by segments of 2 of this job");
  expect(lines[3]).toContain("needs 4 a100 on 2 nodes; 3 are free; 1 left out: cordoned (alpha-3)");
  expect(lines[4]).toContain("Wait, or uncordon alpha-3. It fits if node alpha-3 returns.");
  const racks = [2, 1].map((fits, i) => ({ block: `r${i}`, level: "leaf", fits, needed: 4 }));
  server.on("GET /v1/jobs/{id}/explain", sampleExplanation({ blocks: racks }));
  expect((await cli(`job explain ${JOB_ID}`)).out).toContain("of 4 in one leaf: r0 2, r1 1");
});

test("submit reads several documents, fills in the project and sends one key", async () => {
  server.on("POST /v1/jobs/batch", { items: [sampleJob({ state: "queued" }), sampleJob({ name: "b", state: "held" })] });
  const { code, out, err } = await run(["job", "submit", "-f", "-", "-p", "research", "--hold", "--idempotency-key", "k1"], {
    url: server.url,
    stdin: `${job}---\n{"name": "b", "run": ["true"], "array": {"count": 2}}\n---\n`,
  });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toBe(`train ${JOB_ID} queued\nb ${JOB_ID} held\n`);
  expect(server.requests[0]).toMatchObject({
    body: {
      jobs: [
        { name: "train", project: "research" },
        { name: "b", project: "research" },
      ],
    },
    headers: { "idempotency-key": "k1" },
  });
  expect(server.requests[0]?.query.get("hold")).toBe("true");
});

test("a wrong spec is told by file, document and field, before anything is sent", async () => {
  const { code, err } = await cli("job submit -f -", { stdin: `${job}---\nname: b\nrun: [x]\nnods: 2\nresources: {memory: lots}\n` });
  expect(code).toBe(2);
  expect(err).toMatch(/^error: standard input, document 2 is no valid job\n/);
  expect(err).toContain("nods: unknown field; did you mean nodes?");
  expect(err).toContain("resources.memory: expected a size such as 512Mi");
  expect((await cli("job submit -f -", { stdin: "a: [1\n" })).err).toContain("standard input is no valid YAML");
  expect((await cli("job submit -f -", { stdin: "just text\n" })).err).toContain("expected fields");
  expect((await cli("job submit -f -", { stdin: "kind: pool\nname: a\n" })).err).toContain("muster apply -f");
  expect(server.requests).toEqual([]);
});

test("what the server refuses is told with its fields", async () => {
  server.on("POST /v1/jobs", () => ({
    status: 422,
    body: fakeProblem(422, "never_fits", "no nodes could run it", [{ path: "resources.accelerators", message: "at most 8 a node" }]),
  }));
  expect(await cli("job submit -f -", { stdin: job })).toEqual({
    code: 2,
    out: "",
    err: "error: no nodes could run it (never_fits)\n  resources.accelerators: at most 8 a node\n",
  });
});

test.each([
  [401, 3, "--token-file"],
  [403, 3, "muster token create"],
  [404, 4, "muster job list"],
  [409, 5, "muster job get"],
  [412, 5, "changed meanwhile"],
  [500, 1, "request: req_1"],
])("status %i ends with %i and a hint", async (status, code, hint) => {
  server.on("POST /v1/jobs/{id}/hold", () => ({ status, body: fakeProblem(status, "some_code", "because") }));
  const ended = await cli(`job hold ${JOB_ID}`);
  expect(ended).toMatchObject({ code, out: "" });
  expect(ended.err).toContain("error: because (some_code)");
  expect(ended.err).toContain(hint);
});

test("plan tells by its exit code whether it fits now", async () => {
  server.on("POST /v1/jobs/plan", samplePlan());
  const fits = await cli("job plan -f -", { stdin: job });
  expect(fits.code).toBe(0);
  expect(fits.out).toMatch(/^train: fits now\npool +alpha \(variant 0\)\nworker-0 +alpha-1, devices 0,1\n$/);
  const { job: _, state: __, ...explanation } = sampleExplanation();
  server.on("POST /v1/jobs/plan", samplePlan({ fits_now: false, placement: null, explanation }));
  const queues = await cli("job plan -f -", { stdin: job });
  expect(queues.code).toBe(1);
  expect(queues.out).toContain("train: would queue\nstatus");
  expect((await cli("job plan -f -", { stdin: "nodes: 0\n" })).code).toBe(2);
});

test("plan asks for a changed cluster, and says which field of the change is wrong", async () => {
  server.on("POST /v1/jobs/plan", samplePlan());
  const change = "{return_nodes: [n7], add_nodes: [{like: n1, count: 2}]}";
  expect((await cli(["job", "plan", "-f", "-", "--with", change], { stdin: job })).code).toBe(0);
  expect(server.requests.at(-1)?.body).toMatchObject({ name: "train", cluster: { return_nodes: ["n7"], add_nodes: [{ like: "n1", count: 2 }] } });
  const wrong = await cli(["job", "plan", "-f", "-", "--with", "{return: [n7]}"], { stdin: job });
  expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("return") });
  expect((await cli("job plan -f - --with nothing.yaml", { stdin: job })).err).toContain("can't read nothing.yaml");
});

test("an action on several jobs goes on past one that can't", async () => {
  const other = JOB_ID.replace(/0$/, "1");
  server.on(`POST /v1/jobs/${JOB_ID}/cancel`, () => ({ status: 409, body: fakeProblem(409, "wrong_state", "it is finished") }));
  server.on(`POST /v1/jobs/${other}/cancel`, sampleJob({ id: other, state: "stopping", stopping: { target: "cancelled", reason: "" } }));
  const { code, out, err } = await cli(`job cancel ${JOB_ID} ${other} --reason done`);
  expect(code).toBe(5);
  expect(out).toBe(`train ${other} stopping: cancelled\n`);
  expect(err).toContain(`error: ${JOB_ID}: it is finished (wrong_state)`);
  expect(server.requests.at(-1)?.body).toEqual({ reason: "done" });
});

test("an update names the version that it was made for", async () => {
  server.on("GET /v1/jobs/{id}", sampleJob({ version: 7 }));
  server.on("PATCH /v1/jobs/{id}", sampleJob({ priority: "high" }));
  expect((await cli(`job update ${JOB_ID} --priority high`)).out).toBe(`train ${JOB_ID} priority high\n`);
  expect(server.requests.at(-1)).toMatchObject({ body: { priority: "high" }, headers: { "if-match": '"7"' } });
});

test.each([
  ["succeeded", 0],
  ["failed", 100],
  ["cancelled", 103],
] as const)("wait for a job that ended %s exits %i", async (state, code) => {
  server.on("GET /v1/jobs/{id}", sampleJob({ state }));
  expect(await cli(`job wait ${JOB_ID}`)).toMatchObject({ code, out: "" });
});

test("wait for one that does not end in time, or that is not there", async () => {
  server.on("GET /v1/jobs/{id}", sampleJob());
  const late = await cli(`job wait ${JOB_ID} --timeout 0.2s`);
  expect(late).toMatchObject({ code: 101, out: "" });
  expect(late.err).toContain("train running\n");
  expect(late.err).toContain("not finished after 0.2 s");
  server.on("GET /v1/jobs", page());
  expect((await cli("job wait ghost")).code).toBe(102);
  server.on("GET /v1/jobs/{id}", () => ({ status: 404, body: fakeProblem(404, "not_found", "no such job") }));
  expect((await cli(`job wait ${JOB_ID}`)).code).toBe(102);
});

test("follow shows states on standard error and the log of each attempt on standard output", async () => {
  const states = [
    sampleJob({ state: "queued", attempt: 0, started_at: null, workers: null }),
    sampleJob(),
    sampleJob({ state: "running", attempt: 2 }),
    sampleJob({ state: "succeeded", attempt: 2 }),
  ];
  let looks = 0;
  server.on("POST /v1/jobs", states[0] ?? {});
  server.on("GET /v1/jobs/{id}", () => ({ body: states[Math.min(looks++, states.length - 1)] }));
  let tell: ReturnType<typeof startStream> = () => {};
  server.on("GET /v1/events/stream", (_, response) => {
    tell = startStream(response);
    return undefined;
  });
  server.on("GET /v1/jobs/{id}/workers", page(sampleWorker({ worker: "worker-1", first_rank: 2, node_rank: 1 }), sampleWorker()));
  server.on("GET /v1/jobs/{id}/logs", ({ query }, response) => {
    const send = startStream(response);
    const text = `attempt ${query.get("attempt")} of ${query.get("worker")}\n`;
    send({ data: { offset: 0, next: text.length, text, end: true } });
    tell({ data: sampleEvent() });
    return undefined;
  });
  const { code, out, err } = await cli("job submit -f - --follow", { stdin: job });
  expect(code).toBe(0);
  expect(out).toBe(`train ${JOB_ID} queued\nattempt 1 of worker-0\nattempt 2 of worker-0\n`);
  expect(err).toBe("-- train queued\n-- train running\n-- train running, attempt 2\n-- train succeeded\n");
});

test("logs of one worker, of all, and of a job that never started", async () => {
  server.on("GET /v1/jobs/{id}", sampleJob());
  server.on("GET /v1/jobs/{id}/workers", page(sampleWorker({ worker: "worker-1", first_rank: 2 }), sampleWorker()));
  server.on("GET /v1/jobs/{id}/logs", ({ query }) => ({ body: `hello from ${query.get("worker")}\nbye` }));
  expect((await cli(`job logs ${JOB_ID} --tail 5`)).out).toBe("hello from worker-0\nbye");
  expect(server.requests.at(-1)?.query.get("tail")).toBe("5");
  expect((await cli(`job logs ${JOB_ID} --worker all`)).out).toBe(
    "worker-1 | hello from worker-1\nworker-1 | bye\nworker-0 | hello from worker-0\nworker-0 | bye\n",
  );
  server.on("GET /v1/jobs/{id}", sampleJob({ state: "queued", attempt: 0 }));
  expect(await cli(`job logs ${JOB_ID}`)).toMatchObject({ code: 4, err: expect.stringContaining("has not started yet") });
});
