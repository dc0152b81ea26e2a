import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accountFor } from "@muster/lifecycle";
import { listIncidents, readAttemptTimes, readWaste } from "@muster/store";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { agentPid, processesOf, signalAll } from "../support/processes.ts";

const SILENCE = { suspect: 2000, lost: 60_000 };
const WAIT = { timeout: 60_000, interval: 50 };

let cluster: TestCluster;
let stopped: number[] = [];

beforeAll(async () => {
  cluster = await TestCluster.create([{ name: "n0" }, { name: "n1" }]);
  await cluster.startScheduler();
  await cluster.startSupervisor({ silence: SILENCE });
});
afterEach(() => signalAll(stopped, "SIGCONT"));
afterAll(() => cluster.close());

const kinds = async (id: string): Promise<string[]> =>
  (await cluster.pool.query<{ kind: string }>("SELECT kind FROM events WHERE job = $1 ORDER BY seq", [id])).rows.map((row) => row.kind);
const incidentsOf = async (id: string): Promise<Record<string, unknown>[]> =>
  (
    await cluster.pool.query(
      "SELECT i.kind, i.class, i.rule, i.action, i.closed_at, i.cost, a.phases, a.evidence, a.devices FROM incidents i JOIN incident_attempts a ON a.incident = i.id WHERE a.job = $1 ORDER BY a.attempt",
      [id],
    )
  ).rows;

describe("a job that lives and makes no step", () => {
  it("is ended and started again, charged to infrastructure, with a record of its recovery", async () => {
    const script = 'for step in 1 2 3; do echo "step=$step"; sleep 0.3; done; if [ "$MUSTER_ATTEMPT" = 1 ]; then sleep 600; fi; sleep 1';
    const [id] = (await cluster.submit({
      nodes: 2,
      accelerator: "h800",
      resources: { accelerators: 2 },
      run: ["sh", "-c", script],
      progress: { pattern: "^step=(?<step>\\d+)$" },
      recovery: { hang_timeout: 3, max_restarts: 0 },
    })) as [string];
    const job = await cluster.untilState(id, "succeeded", "failed");
    expect(job).toMatchObject({
      state: "succeeded",
      attempt: 2,
      user_failures: 0,
      infrastructure_failures: 1,
      failure: { class: "infrastructure", rule: "hang" },
    });
    expect(await kinds(id)).toContain("job.no_progress");
    await expect.poll(async () => (await incidentsOf(id))[0]?.["closed_at"], WAIT).toBeInstanceOf(Date);
    const records = await incidentsOf(id);
    expect(records).toMatchObject([
      { kind: "hang", class: "infrastructure", rule: "hang", action: "restarted in place: all its nodes are in service", devices: 4 },
    ]);
    const [record] = records as { phases: Record<string, number>; evidence: string[]; cost: { device_seconds: number } }[];
    expect(Object.keys(record?.phases ?? {}).sort()).toEqual(["decide", "detect", "fence", "place", "redo", "reload", "start"]);
    expect(record?.phases["detect"]).toBeGreaterThanOrEqual(3);
    expect(record?.cost.device_seconds).toBeGreaterThanOrEqual(4 * 3);
    expect(record?.evidence.join("\n")).toMatch(/no step for .* the last was 3\n.*recovery\.hang_timeout/);
    // what its processes were doing: both shells waited for their sleep
    expect(record?.evidence.join("\n")).toMatch(/ on n0.* on n1|and \d+ more:/);
    expect(record?.evidence.some((line) => /^  (sh|sleep), state S$|^  Thread/.test(line))).toBe(true);
    expect(processesOf(id)).toEqual([]);
    expect(await listIncidents(cluster.pool, { visible: ["default"], job: id }, 10, null)).toMatchObject([
      { kind: "hang", project: "default", job: id, attempt: 1, evidence: record?.evidence, cost: { attempts: 1 } },
    ]);
    expect(await listIncidents(cluster.pool, { visible: ["other"] }, 10, null)).toEqual([]);
    expect(await readWaste(cluster.pool)).toMatchObject([{ class: "infrastructure", incidents: 1 }]);
    const { until, attempts } = await readAttemptTimes(cluster.pool, id);
    const account = accountFor(attempts, until);
    // without a checkpoint all three steps are made again
    expect(account).toMatchObject({ steps: { done: 6, kept: 3 }, goodput: 0.5 });
    expect(account?.wasted_device_hours["infrastructure"]).toBeGreaterThanOrEqual((4 * 3) / 3600 - 0.0001);
  });

  it("is left alone while its shard isn't heard of, and after it is heard again", async () => {
    const go = join(cluster.dir, "go");
    const script = 'step=0; until [ -e "$GO" ]; do step=$((step + 1)); echo "step=$step"; sleep 0.2; done';
    const [id] = (await cluster.submit({
      env: { GO: go },
      run: ["sh", "-c", script],
      progress: { pattern: "^step=(?<step>\\d+)$" },
      recovery: { hang_timeout: 3 },
    })) as [string];
    await expect.poll(() => kinds(id), WAIT).toContain("attempt.progressing");
    stopped = [agentPid(cluster.agentDir("a")) as number];
    signalAll(stopped, "SIGSTOP");
    const quiet = async (): Promise<number> =>
      (await cluster.pool.query<{ s: number }>("SELECT extract(epoch FROM now() - step_at)::float8 AS s FROM progress WHERE job = $1", [id])).rows[0]?.s ?? 0;
    await expect.poll(quiet, WAIT).toBeGreaterThan(6);
    signalAll(stopped, "SIGCONT");
    await expect.poll(quiet, WAIT).toBeLessThan(2);
    expect(existsSync(go)).toBe(false);
    writeFileSync(go, "");
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
    expect(await kinds(id)).not.toContain("job.no_progress");
  });

  it("keeps its clock over restarts of the control plane, which kill nothing by themselves", async () => {
    const go = join(cluster.dir, "go-clock");
    const spec = (name: string): Parameters<TestCluster["submit"]>[0] => ({
      name,
      env: { GO: go },
      run: ["sh", "-c", 'echo "step=1"; until [ -e "$GO" ]; do sleep 0.2; done'],
      progress: { pattern: "^step=(?<step>\\d+)$" },
      recovery: { hang_timeout: 1800, max_restarts: 0 },
    });
    const [hung, quiet] = (await cluster.submit(spec("hung"), spec("quiet"))) as [string, string];
    for (const id of [hung, quiet]) await expect.poll(() => kinds(id), WAIT).toContain("attempt.progressing");
    const restart = async (): Promise<void> => {
      await (cluster.supervisors.pop() as { close(): Promise<void> }).close();
      await cluster.startSupervisor({ silence: SILENCE });
    };
    await restart();
    // both quiet for an hour; of that the control plane was away for ten minutes, and for fifty of the second job's
    const { rows } = await cluster.pool.query<{ shard: string }>("SELECT shard FROM nodes WHERE name = 'n0'");
    await cluster.pool.query("UPDATE progress SET step_at = now() - interval '60 min' WHERE job = ANY ($1)", [[hung, quiet]]);
    await cluster.pool.query("INSERT INTO shard_gaps VALUES ($1, now() - interval '50 min', now() - interval '40 min')", [rows[0]?.shard]);
    await cluster.pool.query("UPDATE progress SET step_at = now() - interval '35 min' WHERE job = $1", [quiet]);
    await cluster.pool.query("INSERT INTO shard_gaps VALUES ($1, now() - interval '30 min', now() - interval '20 min')", [rows[0]?.shard]);
    await restart();
    await expect.poll(() => kinds(hung), WAIT).toContain("job.no_progress");
    expect(await kinds(quiet)).not.toContain("job.no_progress");
    writeFileSync(go, "");
    expect(await cluster.untilState(hung, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2, infrastructure_failures: 1 });
    expect(await cluster.untilState(quiet, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  });

  it("is left alone while its framework says that it recovers by itself", async () => {
    const script = 'echo "step=1 phase=train"; sleep 0.3; echo "step=2 phase=recovering"; sleep 7; echo "step=3 phase=train"; sleep 1';
    const [id] = (await cluster.submit({ run: ["sh", "-c", script], recovery: { hang_timeout: 3 } })) as [string];
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
    expect(await kinds(id)).not.toContain("job.no_progress");
  });

  it("is left alone when it never reported progress and has no timeout", async () => {
    const [id] = (await cluster.submit({ run: ["sh", "-c", "sleep 5"] })) as [string];
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  });
});

describe("a loss that goes wrong", () => {
  it("is said of the job, and taken back, and nothing is done", async () => {
    const go = join(cluster.dir, "go-loss");
    const script = 'echo "step=1 loss=nan"; until [ -e "$GO" ]; do sleep 0.1; done; echo "step=2 loss=1.5"; sleep 4';
    const [id] = (await cluster.submit({ env: { GO: go }, run: ["sh", "-c", script], progress: { pattern: "^step=(?<step>\\d+) loss=(?<loss>\\S+)$" } })) as [
      string,
    ];
    await expect.poll(() => kinds(id), WAIT).toContain("job.loss_nan");
    const conditions = async (): Promise<string[]> =>
      (await cluster.pool.query<{ conditions: string[] }>("SELECT conditions FROM jobs WHERE id = $1", [id])).rows[0]?.conditions ?? [];
    expect(await conditions()).toEqual(["loss_nan"]);
    writeFileSync(go, "");
    await expect.poll(() => kinds(id), WAIT).toContain("job.loss_usual");
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  });
});

describe("rules of the cluster", () => {
  it("decide what an end is taken for, and only say so while in shadow", async () => {
    const rules = [
      { id: "maintenance", match: { exit_code: [77] }, class: "preempted" },
      { id: "exit_code", action: "fail", shadow: true },
    ];
    await cluster.pool.query("UPDATE cluster SET settings = $1", [JSON.stringify({ rules })]);
    const [id] = (await cluster.submit({ run: ["sh", "-c", "case $MUSTER_ATTEMPT in 1) exit 77;; 2) exit 5;; esac"], recovery: { max_restarts: 1 } })) as [
      string,
    ];
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 3, user_failures: 1, infrastructure_failures: 0 });
    const { rows } = await cluster.pool.query(
      "SELECT attempt, data->>'rule' AS rule, data->>'instead_of' AS instead_of FROM events WHERE job = $1 AND kind = 'rule.would_match' ORDER BY seq",
      [id],
    );
    expect(rows).toEqual([
      { attempt: 1, rule: "exit_code", instead_of: "maintenance" },
      { attempt: 2, rule: "exit_code", instead_of: "exit_code" },
    ]);
    expect((await incidentsOf(id)).map(({ kind, class: of, rule }) => [kind, of, rule])).toEqual([
      ["job_failure", "preempted", "maintenance"],
      ["job_failure", "user", "exit_code"],
    ]);
  });
});
