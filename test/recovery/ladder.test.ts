import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SubmittedJobSpec } from "@muster/model";
import { TestCluster } from "../support/cluster.ts";
import { environmentOf, processesOf, signalAll } from "../support/processes.ts";

const WAIT = { timeout: 60_000, interval: 50 };

let cluster: TestCluster;

beforeAll(async () => {
  const pools = { place: 2, swap: 3, elastic: 2, hold: 2, brief: 2, both: 4, checked: 4, slow: 2 };
  cluster = await TestCluster.create(
    Object.entries(pools).flatMap(([pool, count]) =>
      Array.from({ length: count }, (_, index) => ({ name: `${pool}-${index}`, pool, fabric: ["zone", "spine", pool, `${pool}-${index}`] })),
    ),
  );
  await cluster.startScheduler();
  await cluster.startSupervisor();
});
afterAll(() => cluster.close());

/** Ranks live until they are told to end; rank 1 of the first attempt says that its node is bad. */
function job(pool: string, spec: Partial<SubmittedJobSpec> = {}): Partial<SubmittedJobSpec> {
  return {
    nodes: 2,
    accelerator: pool,
    resources: { accelerators: 8 },
    run: ["sh", "-c", 'if [ "$MUSTER_ATTEMPT$RANK" = 11 ]; then exit 9; fi; sleep 600'],
    recovery: { rules: [{ match: { exit_code: [9] }, action: "exclude_node" }] },
    ...spec,
  };
}
async function submit(spec: Partial<SubmittedJobSpec>): Promise<string> {
  return (await cluster.submit(spec))[0] as string;
}
async function places(id: string, attempt: number): Promise<{ node: string; devices: number[]; node_rank: number }[]> {
  return (await cluster.pool.query("SELECT node, devices, node_rank FROM workers WHERE job = $1 AND attempt = $2 ORDER BY node_rank", [id, attempt])).rows;
}
async function rungs(id: string): Promise<{ kind: string; rung: string }[]> {
  return (await cluster.pool.query("SELECT kind, data->>'rung' AS rung FROM events WHERE job = $1 AND data ? 'rung' ORDER BY seq", [id])).rows;
}
async function conditions(id: string): Promise<string[]> {
  return (await cluster.pool.query<{ conditions: string[] }>("SELECT conditions FROM jobs WHERE id = $1", [id])).rows[0]?.conditions ?? [];
}
async function did(id: string): Promise<string> {
  return (await cluster.pool.query<{ action: string }>("SELECT action FROM incidents WHERE job = $1 ORDER BY id", [id])).rows[0]?.action ?? "";
}
const running = (attempt: number) => (one: { state: string; attempt: number }) => one.attempt === attempt && one.state === "running";

async function end(...ids: string[]): Promise<void> {
  for (const id of ids) await cluster.act(id, "cancel");
  for (const id of ids) await cluster.untilState(id, "cancelled", "failed");
}

describe("a job whose attempt failed comes back, cheapest first", () => {
  it("in place: the same devices of the same nodes, without the queue", async () => {
    const id = await submit(job("place", { run: ["sleep", "600"] }));
    await cluster.until(id, running(1));
    signalAll(
      processesOf(id, 1).filter((pid) => environmentOf(pid)?.get("RANK") === "1"),
      "SIGKILL",
    );
    await cluster.until(id, running(2));
    expect(await places(id, 2)).toEqual(await places(id, 1));
    expect(await rungs(id)).toEqual([{ kind: "job.scheduled", rung: "in_place" }]);
    expect(await did(id)).toBe("restarted in place: all its nodes are in service");
    const { rows } = await cluster.pool.query("SELECT rendezvous_port AS port FROM attempts WHERE job = $1", [id]);
    expect(new Set(rows.map((row) => row["port"])).size).toBe(2);
    await end(id);
  });

  it("with another node for the one that is out, the healthy one kept", async () => {
    const id = await submit(job("swap"));
    await cluster.until(id, running(2));
    const [first, second] = [await places(id, 1), await places(id, 2)];
    expect(second[0]).toEqual(first[0]);
    expect(first.map((one) => one.node)).not.toContain(second[1]?.node);
    expect(await rungs(id)).toEqual([{ kind: "job.scheduled", rung: "swap" }]);
    expect(await did(id)).toBe(`restarted with a replacement: without ${first[1]?.node} (left out)`);
    await end(id);
  });

  it("smaller, where it is elastic and there is no other node", async () => {
    const id = await submit(job("elastic", { nodes: { min: 1, max: 2 } }));
    await cluster.until(id, running(2));
    expect(await places(id, 2)).toMatchObject([{ node: (await places(id, 1))[0]?.node, node_rank: 0 }]);
    expect(await rungs(id)).toEqual([{ kind: "job.scheduled", rung: "shrink" }]);
    await end(id);
  });

  it("holding what is healthy until a replacement comes, which others don't get in between", async () => {
    const id = await submit(job("hold"));
    await expect.poll(() => conditions(id), WAIT).toEqual(["holding"]);
    const other = await submit(job("hold", { nodes: 1, run: ["sleep", "600"], preemptible: false }));
    await expect.poll(async () => (await cluster.pool.query("SELECT FROM jobs WHERE id = $1 AND wait_reason IS NOT NULL", [other])).rowCount, WAIT).toBe(1);
    expect(await cluster.job(id)).toMatchObject({ state: "recovering", attempt: 1 });
    await end(other);
    await cluster.addNode({ name: "hold-2", pool: "hold" });
    await cluster.until(id, running(2));
    expect((await places(id, 2)).map((one) => one.node)).toEqual([(await places(id, 1))[0]?.node, "hold-2"]);
    expect(await rungs(id)).toEqual([{ kind: "job.scheduled", rung: "swap" }]);
    expect(await conditions(id)).toEqual([]);
    await end(id);
  });

  it("through the queue, where none comes within recovery.hold", async () => {
    const id = await submit(job("brief", { recovery: { hold: 1, rules: [{ match: { exit_code: [9] }, action: "exclude_node" }] } }));
    await cluster.until(id, (one) => one.state === "queued" && one.attempt === 1);
    expect(await rungs(id)).toEqual([{ kind: "job.queued", rung: "requeue" }]);
    const { rows } = await cluster.pool.query("SELECT u.held[1] AS held, j.holding_since FROM node_usage u, jobs j WHERE u.node LIKE 'brief-%' AND j.id = $1", [
      id,
    ]);
    expect(rows).toEqual([0, 1].map(() => ({ held: 0, holding_since: null })));
    await end(id);
  });

  it("never two of them waiting for each other: only one holds, the other lets go", async () => {
    const flagless = (): Partial<SubmittedJobSpec> => job("both");
    const ids = [await submit(flagless()), await submit(flagless())] as const;
    await expect
      .poll(async () => {
        const states = await Promise.all(ids.map(async (id) => `${(await cluster.job(id)).state} ${(await cluster.job(id)).attempt}`));
        return states.some((state) => state === "running 2");
      }, WAIT)
      .toBe(true);
    await end(...ids);
  });
});

describe("a check before each start", () => {
  const nodeOf = async (name: string) =>
    (await cluster.pool.query<{ health: string; reason: string }>("SELECT health, health_reason AS reason FROM nodes WHERE name = $1", [name])).rows[0];
  const incident = async (id: string) =>
    (
      await cluster.pool.query<{ rule: string; evidence: string[] }>(
        "SELECT i.rule, a.evidence FROM incidents i JOIN incident_attempts a ON a.incident = i.id WHERE a.job = $1",
        [id],
      )
    ).rows;

  it("runs on every node with the job's devices; where it fails, the node is suspect and the job starts without it", async () => {
    const check = 'echo looking; [ "$CUDA_VISIBLE_DEVICES" = 0,1,2,3,4,5,6,7 ] && [ "$MUSTER_ATTEMPT$RANK" != 11 ]';
    const id = await submit(job("checked", { nodes: 3, run: ["sh", "-c", "echo started; sleep 600"], preflight: { run: ["sh", "-c", check], timeout: 60 } }));
    await cluster.until(id, running(2));
    const [first, second] = [await places(id, 1), await places(id, 2)];
    const bad = first[1]?.node as string;
    expect(second.map((one) => one.node)).toEqual([first[0]?.node, expect.not.stringContaining(bad), first[2]?.node]);
    expect(await nodeOf(bad)).toEqual({
      health: "suspect",
      reason: expect.stringMatching(/^the check before the start failed on .*: failed after \d+ s: exit code 1$/),
    });
    expect(await incident(id)).toMatchObject([{ rule: "preflight", evidence: [expect.stringContaining(bad), expect.stringMatching(`^${bad}: failed after`)] }]);
    // what it cost each node stands in the job's timeline
    const told = async () =>
      (
        await cluster.pool.query(
          "SELECT FROM events WHERE job = $1 AND attempt = 2 AND kind = 'worker.preflight' AND data->>'line' ~ 'passed after [0-9]+ s'",
          [id],
        )
      ).rowCount;
    await expect.poll(told, WAIT).toBe(3);
    await end(id);
  });

  it("ends one that takes too long", async () => {
    const id = await submit(
      job("slow", { nodes: 1, run: ["sleep", "600"], preflight: { run: ["sh", "-c", '[ "$MUSTER_ATTEMPT" != 1 ] || sleep 600'], timeout: 1 } }),
    );
    await cluster.until(id, running(2));
    expect((await places(id, 2))[0]?.node).not.toBe((await places(id, 1))[0]?.node);
    expect(await incident(id)).toMatchObject([{ rule: "preflight", evidence: [expect.anything(), expect.stringContaining("timed out after 1 s")] }]);
    await end(id);
  });
});
