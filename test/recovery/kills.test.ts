import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { agentPid, environmentOf, isAlive, processesOf, signalAll } from "../support/processes.ts";
import { trainer } from "../support/trainer.ts";

const WAIT = { timeout: 60_000, interval: 50 };

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create([{ name: "n0" }, { name: "n1" }, { name: "n2", shard: "b" }, { name: "n3", shard: "b" }]);
  await cluster.startScheduler();
  await cluster.startSupervisor();
});
afterAll(() => cluster.close());

async function lastSealed(job: string): Promise<number> {
  const { rows } = await cluster.pool.query<{ step: number | null }>(
    "SELECT max(step)::int AS step FROM checkpoints WHERE job = $1 AND sealed_at IS NOT NULL",
    [job],
  );
  return rows[0]?.step ?? 0;
}

const ranked = (job: string, rank: number): number[] => processesOf(job, 1).filter((pid) => environmentOf(pid)?.get("RANK") === String(rank));

describe("SIGKILL of workers", () => {
  it.each([
    ["one worker", (job: string): number[] => ranked(job, 1)],
    ["rank 0", (job: string): number[] => ranked(job, 0)],
    [
      "all workers of a node",
      (job: string): number[] =>
        processesOf(job, 1).filter((pid) => environmentOf(pid)?.get("MUSTER_NODE") === environmentOf(ranked(job, 0)[0] ?? 0)?.get("MUSTER_NODE")),
    ],
  ])("of %s: the job resumes from what was committed", async (_name, victims) => {
    const [id] = (await cluster.submit(
      trainer({ steps: 14, pace: 0.15, nodes: 2, accelerator: "h800", resources: { accelerators: 4 }, env: { TRAINER_STAYS: "1" } }),
    )) as [string];
    await expect.poll(() => lastSealed(id), WAIT).toBeGreaterThanOrEqual(3);
    const pids = victims(id);
    expect(pids.length).toBeGreaterThan(0);
    signalAll(pids, "SIGKILL");
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2, user_failures: 0, infrastructure_failures: 1 });
    await expect.poll(() => cluster.log(id, 2, "worker/0"), WAIT).toMatch(/done at step 14\n$/);
    const from = Number(/begins at step (\d+)/.exec(await cluster.log(id, 2, "worker/0"))?.[1]);
    const { rows } = await cluster.pool.query<{ step: number }>("SELECT max(step)::int AS step FROM checkpoints WHERE job = $1 AND attempt = 1", [id]);
    expect(from).toBe(rows[0]?.step);
  });

  it("of the agent itself: a new one adopts its workers, and the attempt goes on to its exit code", async () => {
    const [id] = (await cluster.submit({
      nodes: 4,
      accelerator: "h800",
      resources: { accelerators: 8 },
      recovery: { max_restarts: 0 },
      run: ["sh", "-c", "sleep 4; test $RANK -lt 3 || exit 9"],
    })) as [string];
    await cluster.untilState(id, "running");
    const workers = processesOf(id);
    const agents = ["a", "b"].map((shard) => agentPid(cluster.agentDir(shard)) as number);
    signalAll(agents, "SIGKILL");
    await expect.poll(() => ["a", "b"].every((shard) => !agents.includes(agentPid(cluster.agentDir(shard)) ?? (agents[0] as number))), WAIT).toBe(true);
    expect(workers.some(isAlive)).toBe(true);
    const job = await cluster.untilState(id, "succeeded", "failed");
    expect(job).toMatchObject({ state: "failed", attempt: 1, failure: { exit_code: 9, rule: "exit_code" } });
    expect(processesOf(id)).toEqual([]);
  });
});
