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
