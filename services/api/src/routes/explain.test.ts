import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCluster, SIGNATURE_HEADER, takeLease, verifyInternal } from "@muster/store";
import { testApi, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
let leader: Server;
let answer: (path: string, body: Record<string, unknown>) => unknown;
const unsigned: string[] = [];
beforeAll(async () => {
  t = await testApi();
  const { secret } = await readCluster(t.pool);
  leader = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const header = request.headers[SIGNATURE_HEADER];
      if (!verifyInternal(secret, request.url ?? "", text, typeof header === "string" ? header : undefined, Date.now())) unsigned.push(request.url ?? "");
      const body = answer(request.url ?? "", JSON.parse(text) as Record<string, unknown>);
      response.writeHead(body === undefined ? 503 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(body ?? {}));
    });
  });
  await new Promise<void>((resolve) => {
    leader.listen(0, "127.0.0.1", resolve);
  });
});
afterAll(async () => {
  await new Promise((resolve) => {
    leader.close(resolve);
  });
  await t.close();
});

async function submit(project: string): Promise<string> {
  return ((await t.call("POST", "/v1/jobs", { body: { name: "train", project, run: ["true"] } })).json as { id: string }).id;
}
const now = new Date().toISOString();
const body = {
  reason: "behind_higher_priority",
  since: now,
  evaluated_at: now,
  need: [],
  free: [],
  filtered: [],
  would_fit_if: [],
  next_step: "Wait.",
  eta: null,
};

test("a job that could not be started says what of its spec was refused, not to read a log that there isn't", async () => {
  const id = await submit("own");
  const failure = {
    class: "user",
    rule: "start_refused",
    message: "a worker can't be started as it is described (worker/0)",
    evidence: ["there is no volume x"],
  };
  await t.pool.query("UPDATE jobs SET state = 'failed', finished_at = now(), failure = $2 WHERE id = $1", [id, failure]);
  expect((await t.call("GET", `/v1/jobs/${id}/explain`)).json).toMatchObject({
    message: "It has failed: a worker can't be started as it is described (worker/0): there is no volume x.",
    next_step: "Correct the spec, and submit it anew.",
  });
});

test("without a leader the last recorded reason is told, with the time that it is from", async () => {
  const id = await submit("own");
  await t.pool.query("UPDATE jobs SET wait_reason = 'insufficient_capacity', wait_since = '2026-01-02T03:04:05Z' WHERE id = $1", [id]);
  expect((await t.call("GET", `/v1/jobs/${id}/explain`)).json).toMatchObject({
    reason: "insufficient_capacity",
    evaluated_at: "2026-01-02T03:04:05.000Z",
    message: expect.stringContaining("could not be asked"),
  });
  expect((await t.call("POST", "/v1/jobs/plan", { body: { name: "x", run: ["true"] } })).json).toMatchObject({
    fits_now: false,
    could_ever_run: true,
    explanation: { reason: "pending_evaluation" },
  });
});

test("the leader is asked with a signature, and jobs of other projects are counted but not named", async () => {
  await takeLease(t.pool, "scheduler", "leader-1", 60, `http://127.0.0.1:${(leader.address() as AddressInfo).port}`);
  const [mine, seen, hidden] = [await submit("own"), await submit("own"), await submit("other")];
  answer = (path, asked) =>
    path === "/internal/explain"
      ? { ...body, job: asked["job"], state: "queued", message: `behind ${seen} and ${hidden}`, ahead: { count: 2, devices: 16, top: [seen, hidden] } }
      : path === "/internal/state"
        ? { cycle_ms: 3, lag_ms: 12, waiting: 3 }
        : {
            fits_now: false,
            could_ever_run: true,
            resolved: asked["spec"],
            placement: null,
            explanation: { ...body, message: `behind ${hidden}`, ahead: { count: 1, devices: 8, top: [hidden] } },
            gives_way: { count: 2, jobs: [hidden, seen] },
          };
  const token = await t.token("submitter", "own");
  const told = await t.call("GET", `/v1/jobs/${mine}/explain`, { token });
  expect(told.json).toMatchObject({
    job: mine,
    reason: "behind_higher_priority",
    message: `behind ${seen} and a job of another project`,
    ahead: { count: 2, devices: 16, top: [seen] },
  });
  expect((await t.call("GET", `/v1/jobs/${mine}/explain`)).json).toMatchObject({ ahead: { top: [seen, hidden] } });
  const plan = await t.call("POST", "/v1/jobs/plan", { token, body: { name: "x", project: "own", run: ["true"] } });
  expect(plan.json).toMatchObject({
    fits_now: false,
    resolved: { name: "x", variants: [{ index: 0 }] },
    explanation: { message: "behind a job of another project", ahead: { top: [] } },
    gives_way: { count: 2, jobs: [seen] },
  });
  expect(plan.text).not.toContain(hidden);
  expect((await t.call("GET", "/v1/overview")).json).toMatchObject({ control_plane: { scheduler: { leader: "leader-1", cycle_ms: 3, lag_ms: 12 } } });
  expect(unsigned).toEqual([]);
});

test("a leader that answers nonsense, or not at all, is as good as none", async () => {
  const id = await submit("own");
  for (const nonsense of [undefined, { reason: "because" }, "text", null]) {
    answer = () => nonsense;
    expect((await t.call("GET", `/v1/jobs/${id}/explain`)).json).toMatchObject({ message: expect.stringContaining("could not be asked") });
  }
});

test("what does not wait says so; what is held says what would help", async () => {
  const id = await submit("own");
  await t.call("POST", `/v1/jobs/${id}/hold`);
  expect((await t.call("GET", `/v1/jobs/${id}/explain`)).json).toMatchObject({ reason: "held", next_step: expect.stringContaining("Release") });
  await t.call("POST", `/v1/jobs/${id}/cancel`);
  expect((await t.call("GET", `/v1/jobs/${id}/explain`)).json).toMatchObject({ state: "cancelled", reason: null });
});

test("what could never run is told by the plan, not refused", async () => {
  expect((await t.call("POST", "/v1/jobs/plan", { body: { name: "x", run: ["true"], nodes: 99, resources: { accelerators: 8 } } })).json).toMatchObject({
    fits_now: false,
    could_ever_run: false,
    placement: null,
  });
});

test("a plan for a changed cluster passes the change on, checked; what only the change makes possible is not called impossible", async () => {
  const mine = await submit("own");
  const hidden = await submit("other");
  let asked: Record<string, unknown> = {};
  answer = (_path, question) => {
    asked = question;
    return { fits_now: true, could_ever_run: true, resolved: {}, placement: null, explanation: null };
  };
  const spec = { name: "x", project: "own", run: ["true"], nodes: 99, resources: { accelerators: 8 } };
  const [node] = ((await t.call("GET", "/v1/nodes")).json as { items: { name: string }[] }).items;
  const token = await t.token("submitter", "own");
  const plan = async (cluster: unknown) => t.call("POST", "/v1/jobs/plan", { token, body: { ...spec, cluster } });
  const change = { add_nodes: [{ like: node?.name, count: 99 }], without_jobs: [mine], queues: [{ name: "default", nominal: { cpus: 4 } }] };
  expect((await plan(change)).json).toMatchObject({ fits_now: true, could_ever_run: true });
  expect(asked["change"]).toEqual({ return_nodes: [], cordon_nodes: [], ...change });
  expect(asked["spec"]).not.toHaveProperty("cluster");
  for (const [wrong, path] of [
    ["all", "cluster"],
    [{ nodes: 3 }, "cluster.nodes"],
    [{ return_nodes: ["none"] }, "cluster.return_nodes[0]"],
    [{ add_nodes: [{ like: node?.name, count: 0 }] }, "cluster.add_nodes[0].count"],
    [{ queues: [{ name: "none" }] }, "cluster.queues[0].name"],
    [{ queues: [{ name: "default", limit: { abacus: 1 } }] }, "cluster.queues[0].limit"],
    [{ without_jobs: [hidden] }, "cluster.without_jobs[0]"],
  ] as const) {
    const refused = await plan(wrong);
    expect(refused.status).toBe(422);
    expect(refused.json).toMatchObject({ code: "invalid", errors: [{ path }] });
  }
});
