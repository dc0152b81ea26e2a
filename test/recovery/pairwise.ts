import { setTimeout as delay } from "node:timers/promises";
import { TestCluster } from "../support/cluster.ts";
import { commandOf, environmentOf, processesOf, signalAll } from "../support/processes.ts";

const NODES = 4;
/** Seconds: what a frozen node costs, as it is waited for so long. */
const TIMEOUT = 60;

/**
 * One node of four freezes in the pairwise check before the start: the job is to start without it, with all the others.
 * @throws Error where it doesn't
 */
export async function runPairwise(rank: number): Promise<object> {
  const names = Array.from({ length: NODES + 1 }, (_, index) => `node-${index}`);
  const cluster = await TestCluster.create(names.map((name) => ({ name, pool: "pairs" })));
  try {
    await cluster.startScheduler();
    await cluster.startSupervisor();
    const began = performance.now();
    const [id = ""] = await cluster.submit({
      nodes: NODES,
      accelerator: "pairs",
      resources: { accelerators: 8 },
      launcher: "torchrun",
      run: ["sh", "-c", "sleep 600"],
      preflight: { run: "pairwise", timeout: TIMEOUT },
    });
    let checks: number[] = [];
    for (const end = Date.now() + 60_000; checks.length === 0; await delay(20)) {
      if (Date.now() > end) throw new Error("the check did not begin");
      checks = processesOf(id, 1).filter((pid) => environmentOf(pid)?.get("MUSTER_NODE_RANK") === String(rank) && isCheck(commandOf(pid)));
    }
    // also what it starts next: its parent stands still, but not who watches over its time
    signalAll(checks, "SIGSTOP");
    await cluster.until(id, (job) => job.attempt === 2 && job.state === "running", 240_000);
    const nodesOf = async (attempt: number): Promise<string[]> =>
      (await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 AND attempt = $2 ORDER BY node_rank", [id, attempt])).rows.map(
        ({ node }) => node,
      );
    const [first, second] = [await nodesOf(1), await nodesOf(2)];
    const expected = first.map((node, index) => (index === rank ? names.find((name) => !first.includes(name)) : node));
    if (second.join() !== expected.join()) throw new Error(`node ${first[rank]} froze among ${first.join()}, and the next attempt has ${second.join()}`);
    const { rows } = await cluster.pool.query<{ name: string; health: string }>("SELECT name, health FROM nodes WHERE health <> 'ready'");
    if (rows.length !== 1 || rows[0]?.name !== first[rank]) throw new Error(`not only ${first[rank]} is suspect: ${JSON.stringify(rows)}`);
    return { nodes: NODES, frozen: rank, found_after_s: Math.round((performance.now() - began) / 100) / 10 };
  } finally {
    await cluster.close();
  }
}

function isCheck(words: readonly string[]): boolean {
  return /python[\d.]*$/.test(words[0] ?? "") && words.some((word) => word.endsWith("/pairwise.py"));
}
