import { setNodeHealth } from "@muster/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { commandOf, processesOf } from "../support/processes.ts";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create([{ name: "n0" }, { name: "n1" }, { name: "n2", shard: "b" }]);
  await cluster.startScheduler();
  await cluster.startSupervisor();
});
afterAll(() => cluster.close());

describe("a job's life on real agents", () => {
  it("runs a tiny job to its end, with its log", async () => {
    const [id] = (await cluster.submit({ run: ["sh", "-c", "echo hello from $MUSTER_NODE"] })) as [string];
    const job = await cluster.untilState(id, "succeeded", "failed");
    expect(job).toMatchObject({ state: "succeeded", attempt: 1 });
    await expect.poll(() => cluster.log(id, 1, "worker/0"), { timeout: 10_000 }).toMatch(/^hello from n\d\n$/);
  });

  it("starts a gang over two shards together, with ranks", async () => {
    const [id] = (await cluster.submit({
      nodes: 3,
      resources: { accelerators: 8 },
      accelerator: "h800",
      run: ["sh", "-c", "echo rank $RANK of $WORLD_SIZE sees $CUDA_VISIBLE_DEVICES"],
    })) as [string];
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded" });
    for (const rank of [0, 1, 2])
      await expect.poll(() => cluster.log(id, 1, `worker/${rank}`), { timeout: 10_000 }).toBe(`rank ${rank} of 3 sees 0,1,2,3,4,5,6,7\n`);
  });

  it("brings a job back after SIGKILL of one worker, and takes its whole gang down for it", async () => {
    const [id] = (await cluster.submit({
      nodes: 2,
      resources: { accelerators: 1 },
      accelerator: "h800",
      run: ["sh", "-c", 'test "$MUSTER_ATTEMPT" = 2 || sleep 60'],
    })) as [string];
    await cluster.untilState(id, "running");
    const sleepers = (): number[] => processesOf(id).filter((pid) => commandOf(pid)[0] === "sleep");
    await expect.poll(sleepers, { timeout: 10_000 }).toHaveLength(2);
    process.kill(sleepers()[0] as number, "SIGKILL");
    const job = await cluster.untilState(id, "succeeded", "failed");
    expect(job).toMatchObject({ state: "succeeded", attempt: 2, user_failures: 0 });
    expect(processesOf(id)).toEqual([]);
  });

  it("gives up on the same error twice with no progress between", async () => {
    const [id] = (await cluster.submit({ run: ["sh", "-c", "echo 'ValueError: no data' >&2; exit 3"] })) as [string];
    const job = await cluster.untilState(id, "succeeded", "failed");
    expect(job).toMatchObject({ state: "failed", attempt: 2, user_failures: 2, failure: { class: "user", rule: "exit_code" } });
  });

  it("cancels a running job with its grace, and a queued one at once", async () => {
    const [running] = (await cluster.submit({ nodes: 3, resources: { accelerators: 8 }, run: ["sleep", "60"], checkpoint: { grace: 1 } })) as [string];
    await cluster.untilState(running, "running");
    const [waiting] = (await cluster.submit({ nodes: 3, resources: { accelerators: 8 }, run: ["true"] })) as [string];
    await cluster.act(waiting, "cancel");
    expect(await cluster.job(waiting)).toMatchObject({ state: "cancelled", attempt: 0 });
    await cluster.act(running, "cancel");
    expect(await cluster.untilState(running, "cancelled")).toMatchObject({ attempt: 1 });
    expect(processesOf(running)).toEqual([]);
  });

  it("suspends, resumes and requeues", async () => {
    const [id] = (await cluster.submit({ run: ["sleep", "60"], checkpoint: { grace: 1 } })) as [string];
    await cluster.untilState(id, "running");
    await cluster.act(id, "suspend");
    await cluster.untilState(id, "suspended");
    await cluster.act(id, "resume");
    await cluster.until(id, (job) => job.state === "running" && job.attempt === 2);
    await cluster.act(id, "requeue");
    await cluster.until(id, (job) => job.state === "running" && job.attempt === 3);
    await cluster.act(id, "cancel");
    expect(await cluster.untilState(id, "cancelled")).toMatchObject({ attempt: 3, user_failures: 0 });
  });
});

describe("a checkpoint", () => {
  const begins = 'from=0; if [ -e "$MUSTER_RESUME_FROM" ]; then from=$(cat "$MUSTER_RESUME_FROM/step"); fi; echo "from $from";';
  const save = 'save() { d=$MUSTER_CHECKPOINT_DIR/step-$1; mkdir -p $d; echo $1 >$d/step; echo "saved $1 $d"; };';
  const committed = "^saved (?<step>\\d+) (?<path>\\S+)$";
  const nodeOf = async (id: string): Promise<string> =>
    (await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 AND attempt = 1", [id])).rows[0]?.node as string;
  const submit = async (script: string, checkpoint: object, more: object = {}): Promise<string> =>
    (await cluster.submit({ run: ["sh", "-c", `${begins} ${save} ${script}`], checkpoint: { committed, ...checkpoint }, ...more }))[0] as string;

  it("is asked for before a node is drained, and waited for until the grace is over", async () => {
    const waits = "echo ready; while :; do sleep 0.05; done";
    const ids = [
      await submit(`if [ $from = 9 ]; then exit 0; fi; trap 'save 9' USR1; ${waits}`, { signal: "SIGUSR1", grace: 600 }),
      await submit(`if [ $MUSTER_ATTEMPT = 2 ]; then exit 0; fi; trap '' USR1 TERM; ${waits}`, { signal: "SIGUSR1", grace: 1 }),
    ] as const;
    for (const id of ids) await expect.poll(() => cluster.log(id, 1, "worker/0"), { timeout: 20_000 }).toContain("ready");
    const drained = [...new Set([await nodeOf(ids[0]), await nodeOf(ids[1])])];
    for (const node of drained) await setNodeHealth(cluster.pool, node, "draining", "test", "test", 3600);
    for (const id of ids) expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2 });
    await expect.poll(() => cluster.log(ids[0], 2, "worker/0"), { timeout: 10_000 }).toBe("from 9\n");
    await expect.poll(() => cluster.log(ids[1], 2, "worker/0"), { timeout: 10_000 }).toBe("from 0\n");
    for (const node of drained) await setNodeHealth(cluster.pool, node, "ready", null, null, null);
  });

  it("is gone back behind where a rule says so", async () => {
    const sealed = (step: number): string => `save ${step}; until [ "$(cat "$MUSTER_RESUME_FROM/step")" = ${step} ]; do sleep 0.05; done;`;
    const id = await submit(
      `if [ $MUSTER_ATTEMPT = 2 ]; then exit 0; fi; ${sealed(5)} ${sealed(7)} exit 9`,
      {},
      { recovery: { rules: [{ match: { exit_code: [9] }, action: "rollback" }] } },
    );
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2 });
    await expect.poll(() => cluster.log(id, 2, "worker/0"), { timeout: 10_000 }).toBe("from 5\n");
  });
});
