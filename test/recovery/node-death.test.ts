import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { signalAll } from "../support/processes.ts";
import { trainer } from "../support/trainer.ts";

const WAIT = { timeout: 60_000, interval: 50 };
/** Longer than any test: silence tells nothing here. */
const NEVER = 3_600_000;

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create(["a", "b", "c"].map((shard) => ({ name: `n-${shard}`, shard })));
  await cluster.startScheduler();
  await cluster.startSupervisor({ silence: { suspect: NEVER, lost: NEVER } });
});
afterAll(() => cluster.close());

async function nodesOf(job: string, attempt: number): Promise<string[]> {
  const { rows } = await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 AND attempt = $2 ORDER BY node_rank", [job, attempt]);
  return rows.map((row) => row.node);
}
async function sealed(job: string): Promise<number> {
  const { rows } = await cluster.pool.query("SELECT FROM checkpoints WHERE job = $1 AND sealed_path IS NOT NULL", [job]);
  return rows.length;
}
const shardOf = (node: string): string => node.slice(2);

function killNode(node: string): void {
  appendFileSync(join(cluster.agentDir(shardOf(node)), "refuse"), "*\n");
  signalAll(cluster.shardProcesses(shardOf(node)), "SIGKILL");
}

describe("a node that dies and takes no new agent", () => {
  it("is lost at once, without any silence: the job goes on with another in its place, the healthy one kept", async () => {
    const [id] = (await cluster.submit(trainer({ steps: 400, pace: 0.1, nodes: 2, accelerator: "h800", resources: { accelerators: 8 } }))) as [string];
    await expect.poll(() => sealed(id), WAIT).toBeGreaterThanOrEqual(1);
    const [kept, victim] = (await nodesOf(id, 1)) as [string, string];
    killNode(victim);
    await cluster.until(id, (job) => job.attempt === 2 && job.state === "running", 60_000);
    const after = await nodesOf(id, 2);
    expect(after).toContain(kept);
    expect(after).not.toContain(victim);
    const { rows: attempts } = await cluster.pool.query("SELECT outcome, cause->>'rule' AS rule FROM attempts WHERE job = $1 AND number = 1", [id]);
    expect(attempts).toEqual([{ outcome: "superseded", rule: "node_lost" }]);
    const { rows: incidents } = await cluster.pool.query("SELECT rule, node FROM incidents WHERE kind = 'node_lost'");
    expect(incidents).toEqual([{ rule: "death", node: victim }]);

    // it takes agents again: what lived there is known to be dead, and its devices are free
    rmSync(join(cluster.agentDir(shardOf(victim)), "refuse"));
    await expect
      .poll(
        async () =>
          (
            await cluster.pool.query(
              "SELECT n.lost_since, n.reachable, u.held[1] AS held FROM nodes n JOIN node_usage u ON u.node = n.name WHERE n.name = $1",
              [victim],
            )
          ).rows,
        WAIT,
      )
      .toEqual([{ lost_since: null, reachable: true, held: 0 }]);
    await cluster.act(id, "cancel");
    await cluster.untilState(id, "cancelled");
  });
});
