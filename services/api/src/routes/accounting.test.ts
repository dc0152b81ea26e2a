import { recordFaults, recordRecoveries, transaction } from "@muster/store";
import type { AccountView, JobView, OverviewView } from "@muster/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endAttempt, startAttempt } from "../testing/start-attempt.ts";
import { testApi, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi();
});
afterAll(() => t.close());

const account = async (query = "", token?: string): Promise<AccountView> => {
  const { status, json } = await t.call("GET", `/v1/accounting${query}`, token === undefined ? {} : { token });
  expect(status).toBe(200);
  return json as AccountView;
};
const submit = async (project: string, queue: string): Promise<string> => {
  const { status, json } = await t.call("POST", "/v1/jobs", { body: { name: "train", project, queue, run: ["true"], resources: { accelerators: 1 } } });
  expect(status).toBe(201);
  return (json as JobView).id;
};
/** Moves an attempt into the past: so many minutes ago it began, made steps, and ended. */
const backdate = (job: string, attempt: number, [up, first, last, end]: number[], [from, to]: number[]): Promise<unknown> =>
  t.pool.query(
    `UPDATE attempts SET scheduled_at = now() - make_interval(mins => $3), started_at = now() - make_interval(mins => $3), first_progress_at = now() - make_interval(mins => $4),
      last_step_at = now() - make_interval(mins => $5), ended_at = CASE WHEN ended_at IS NULL THEN NULL ELSE now() - make_interval(mins => $6) END, first_step = $7, last_step = $8
     WHERE job = $1 AND number = $2`,
    [job, attempt, up, first, last, end, from, to],
  );

describe("what time went into", () => {
  let broken: string;
  let private_: string;
  beforeAll(async () => {
    // an hour of steps, of which half were made again, after a fault that took ten minutes to come back from
    broken = await submit("default", "default");
    const incarnation = await startAttempt(t.pool, broken, "n0");
    await endAttempt(t.pool, broken);
    await t.pool.query("UPDATE attempts SET outcome = 'failed', failure_class = 'infrastructure', cause = '{\"rule\": \"node_lost\"}' WHERE job = $1", [
      broken,
    ]);
    const fault = { job: broken, incarnation, attempt: 1 };
    await transaction(t.pool, async (client) => {
      await recordFaults(client, [
        {
          kind: "job_failure",
          severity: "info",
          node: "n0",
          evidence: ["gone"],
          class: "infrastructure",
          rule: "node_lost",
          action: "restarted",
          attempt: { ...fault, project: "default" },
        },
      ]);
      await recordRecoveries(client, [
        { ...fault, phases: { detect: 20, decide: 1, fence: 2, place: 3, start: 4, reload: 10, redo: 1800 }, deviceSeconds: 1837, done: true },
      ]);
    });
    await t.pool.query("UPDATE jobs SET state = 'queued' WHERE id = $1", [broken]);
    await startAttempt(t.pool, broken, "n1", 2);
    await backdate(broken, 1, [120, 120, 60, 60], [1, 60]);
    await backdate(broken, 2, [50, 50, 0, 0], [31, 80]);
    private_ = await submit("other", "private");
    await startAttempt(t.pool, private_, "n2");
    await backdate(private_, 1, [30, 30, 0, 0], [1, 10]);
  });

  it("is told of the cluster and of each queue, with the faults and how long recoveries took", async () => {
    const { total, queues, recoveries, faults, partial } = await account();
    expect(partial).toBe(false);
    expect(queues.map(({ queue, jobs }) => [queue, jobs])).toEqual([
      ["default", 1],
      ["private", 1],
    ]);
    const [shared, own] = queues;
    // 30 of the first 60 minutes were kept, and all of the next 50, of two hours
    expect(shared?.ettr).toBeCloseTo(80 / 120, 2);
    expect(shared?.goodput).toBeCloseTo(80 / 110, 3);
    expect(own?.ettr).toBeCloseTo(1, 2);
    expect(total.jobs).toBe(2);
    expect(total.ettr).toBeCloseTo(110 / 150, 2);
    expect(shared?.wasted_device_hours["infrastructure"]).toBeGreaterThan(0);
    expect(recoveries.total).toEqual({ p50: 1840, p99: 1840, count: 1 });
    expect(recoveries.phases["redo"]).toEqual({ p50: 1800, p99: 1800, count: 1 });
    expect(Object.keys(recoveries.phases)).toEqual(["detect", "decide", "fence", "place", "start", "reload", "redo"]);
    expect(faults).toEqual([{ rule: "node_lost", class: "infrastructure", attempts: 1, device_hours: 0.5103 }]);
  });

  it("is of one queue, project or time where asked, and of what the token sees", async () => {
    expect((await account("?queue=private")).queues.map(({ queue }) => queue)).toEqual(["private"]);
    expect((await account("?project=default")).total.jobs).toBe(1);
    const blind = await t.token("viewer", "own");
    expect(await account("", blind)).toMatchObject({ total: { jobs: 0, ettr: null }, queues: [], recoveries: { total: null, phases: {} }, faults: [] });
    const other = await t.token("viewer", "other");
    expect((await account("", other)).queues.map(({ queue }) => queue)).toEqual(["private"]);
    expect((await t.call("GET", "/v1/accounting?since=1s")).status).toBe(400);
  });

  it("stands in the overview, and in the metrics", async () => {
    const overview = (await t.call("GET", "/v1/overview")).json as OverviewView;
    expect(overview.ettr_7d).toBeCloseTo(110 / 150, 2);
    expect(overview.control_plane.brake).toBeNull();
    const { text } = await t.call("GET", "/metrics");
    expect(text).toMatch(/muster_ettr\{queue="default"\} 0\.66/);
    expect(text).toMatch(/muster_recovery_seconds\{phase="total",quantile="0\.99"\} 1840/);
    expect(text).toMatch(/muster_wasted_device_hours\{queue="default",cause="infrastructure"\} 0\.\d+/);
    expect(text).toContain("muster_brake 0");
    // four nodes of which nothing is known
    expect(text).toContain('muster_spares{pool="h800",which="advised"} 1');
  });
});
