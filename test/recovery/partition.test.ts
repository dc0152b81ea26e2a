import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { agentPid, commandOf, isAlive, processesOf, signalAll } from "../support/processes.ts";
import { trainer } from "../support/trainer.ts";

const SILENCE = { suspect: 2000, lost: 4000 };
const WAIT = { timeout: 40_000, interval: 50 };

let cluster: TestCluster;
const stopped = new Set<number>();

beforeAll(async () => {
  cluster = await TestCluster.create([
    { name: "n0", shard: "a" },
    { name: "n1", shard: "b" },
  ]);
  await cluster.startScheduler();
  await cluster.startSupervisor({ silence: SILENCE });
});
afterEach(() => signalAll([...stopped], "SIGCONT"));
afterAll(() => cluster.close());

/** The node and shard of a job's only worker, and everything that runs there, stopped: no network reaches them either. */
async function cutOff(job: string, attempt: number): Promise<{ node: string; shard: string; agent: number; workers: number[] }> {
  const { rows } = await cluster.pool.query<{ node: string; shard: string }>("SELECT node, shard FROM workers WHERE job = $1 AND attempt = $2", [job, attempt]);
  const { node, shard } = rows[0] as { node: string; shard: string };
  const agent = agentPid(cluster.agentDir(shard)) as number;
  // twice, as what was made between the first look and its stop is seen by the second
  for (let look = 0; look < 2; look++) {
    const all = cluster.shardProcesses(shard);
    for (const pid of all) stopped.add(pid);
    signalAll(all, "SIGSTOP");
  }
  return { node, shard, agent, workers: processesOf(job, attempt) };
}

async function heldOn(node: string): Promise<number> {
  const { rows } = await cluster.pool.query<{ held: number }>("SELECT (SELECT sum(h) FROM unnest(held) AS h)::int AS held FROM node_usage WHERE node = $1", [
    node,
  ]);
  return rows[0]?.held ?? -1;
}

async function attempts(job: string): Promise<{ number: number; state: string; outcome: string | null }[]> {
  return (await cluster.pool.query("SELECT number, state, outcome FROM attempts WHERE job = $1 ORDER BY number", [job])).rows;
}

describe("a node that falls silent with its work on it", () => {
  it("is superseded: the job goes on elsewhere from what was committed, whatever the old worker does when it wakes up", async () => {
    const flag = join(cluster.dir, "flag");
    const [id] = (await cluster.submit(
      trainer({
        steps: 40,
        pace: 0.2,
        accelerator: "h800",
        resources: { accelerators: 8 },
        env: { TRAINER_VANDAL: "1", TRAINER_FLAG: flag },
        checkpoint: { keep: 1000 },
      }),
    )) as [string];
    const committed = async (): Promise<{ attempt: number; step: number; sealed_path: string }[]> =>
      (await cluster.pool.query("SELECT attempt, step, sealed_path FROM checkpoints WHERE job = $1 AND sealed_path IS NOT NULL ORDER BY id", [id])).rows;
    await expect.poll(async () => (await committed()).length, WAIT).toBeGreaterThanOrEqual(2);

    const old = await cutOff(id, 1);
    await cluster.until(id, (job) => job.state === "running" && job.attempt === 2, 40_000);
    expect(await attempts(id)).toMatchObject([{ number: 1, state: "ended", outcome: "superseded" }, { number: 2 }]);
    // nobody knows whether the old worker lives, so nothing else may have its devices
    expect(await heldOn(old.node)).toBe(8000);
    const before = await committed();
    const resumed = before.findLast((one) => one.attempt === 1) as { step: number; sealed_path: string };
    await expect.poll(() => cluster.log(id, 2, "worker/0"), WAIT).toMatch(new RegExp(`^attempt 2 rank 0 begins at step ${resumed.step}\n`));

    // the worker wakes up before its agent does, deletes everything that it can reach and commits far ahead
    writeFileSync(flag, "");
    const own = join(
      resumed.sealed_path,
      "..",
      "..",
      readdirSync(join(resumed.sealed_path, "..", "..")).find((name) => name.startsWith("attempt-") && name.endsWith("-1")) as string,
    );
    signalAll(old.workers, "SIGCONT");
    await expect.poll(() => existsSync(join(own, "step-1000")), WAIT).toBe(true);
    await expect.poll(() => old.workers.some(isAlive), WAIT).toBe(false);
    expect(readdirSync(own)).toEqual(["step-1000"]);
    expect(readFileSync(join(resumed.sealed_path, "step"), "utf8")).toBe(`${resumed.step}\n`);

    // and its agent then reports a commit of an attempt that is over
    signalAll([...stopped], "SIGCONT");
    await expect.poll(() => heldOn(old.node), WAIT).toBe(0);
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2, user_failures: 0 });
    await expect.poll(async () => (await committed()).at(-1), WAIT).toMatchObject({ attempt: 2, step: 40 });
    const { rows } = await cluster.pool.query("SELECT FROM checkpoints WHERE job = $1 AND step > 40", [id]);
    expect(rows).toEqual([]);
    await expect.poll(() => cluster.log(id, 2, "worker/0"), WAIT).toMatch(/attempt 2 rank 0 done at step 40\n$/);
    const { rows: nodes } = await cluster.pool.query("SELECT reachable, lost_since, health FROM nodes WHERE name = $1", [old.node]);
    expect(nodes).toEqual([{ reachable: true, lost_since: null, health: expect.stringMatching(/ready|suspect/) }]);
  });

  it("has what still lives there killed when it comes back, before anything new counts on it", async () => {
    const [id] = (await cluster.submit({
      accelerator: "h800",
      resources: { accelerators: 8 },
      run: ["sh", "-c", 'test "$MUSTER_ATTEMPT" = 2 || sleep 300'],
    })) as [string];
    await cluster.untilState(id, "running");
    const old = await cutOff(id, 1);
    expect(await cluster.until(id, (job) => job.state === "succeeded" || job.state === "failed", 40_000)).toMatchObject({ state: "succeeded", attempt: 2 });
    expect(old.workers.every(isAlive)).toBe(true);
    expect(await heldOn(old.node)).toBe(8000);
    signalAll([...stopped], "SIGCONT");
    await expect.poll(() => old.workers.some(isAlive), WAIT).toBe(false);
    await expect.poll(() => heldOn(old.node), WAIT).toBe(0);
    // both nodes take work again
    const [both] = (await cluster.submit({ nodes: 2, accelerator: "h800", resources: { accelerators: 8 }, run: ["true"] })) as [string];
    expect(await cluster.untilState(both, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  });

  it("is waited for where the job says so, and then the job was never broken", async () => {
    const [id] = (await cluster.submit({
      accelerator: "h800",
      resources: { accelerators: 8 },
      recovery: { partition: "wait" },
      // one process that makes no others
      run: ["perl", "-e", "select(undef, undef, undef, 0.1) until -e $ARGV[0]", join(cluster.dir, "enough")],
    })) as [string];
    await cluster.untilState(id, "running");
    const old = await cutOff(id, 1);
    const conditions = async (): Promise<string[]> =>
      (await cluster.pool.query<{ conditions: string[] }>("SELECT conditions FROM jobs WHERE id = $1", [id])).rows[0]?.conditions ?? [];
    await expect
      .poll(async () => (await cluster.pool.query("SELECT FROM nodes WHERE name = $1 AND lost_since IS NOT NULL", [old.node])).rowCount, WAIT)
      .toBe(1);
    expect(await cluster.job(id)).toMatchObject({ state: "running", attempt: 1 });
    expect(await conditions()).toEqual(["unreachable"]);
    signalAll([...stopped], "SIGCONT");
    await expect.poll(conditions, WAIT).toEqual([]);
    const programs = processesOf(id).filter((pid) => commandOf(pid)[0] === "perl");
    expect(programs).toHaveLength(1);
    expect(old.workers).toEqual(expect.arrayContaining(programs));
    writeFileSync(join(cluster.dir, "enough"), "");
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  });
});
