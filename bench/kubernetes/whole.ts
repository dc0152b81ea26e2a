import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startStandalone, type Standalone } from "@muster/standalone";
import { createPool } from "@muster/store";
import { pino } from "pino";
import { FakeCluster, NAMESPACE } from "./fake-cluster.ts";

const SUBMITTERS = 16;
const GIVE_UP = 240_000;

/** One-device jobs through all of Muster: its API, Postgres, scheduler, supervisor and engine, until the last one runs. */
export async function wholeMuster(jobs: number, nodes: number, say: (text: string) => void): Promise<Record<string, number>> {
  const cluster = await FakeCluster.start(nodes);
  const stateDir = mkdtempSync(join(tmpdir(), "muster-bench-"));
  let muster: Standalone | undefined;
  try {
    muster = await startStandalone({ logger: pino({ level: process.env["MUSTER_BENCH_LOG"] ?? "silent" }), stateDir, port: 0 });
    await declare(muster, cluster, nodes);
    const pool = createPool(muster.databaseUrl, "bench", { max: 1 });
    try {
      const { client } = muster;
      const began = performance.now();
      const seconds = (): number => (performance.now() - began) / 1000;
      let next = 0;
      await Promise.all(
        Array.from({ length: SUBMITTERS }, async () => {
          while (next++ < jobs) await client.jobs.submit({ name: "one", pool: "fake", run: ["python3", "train.py"], resources: { accelerators: 1 } });
        }),
      );
      const submitted = seconds();
      for (const end = Date.now() + GIVE_UP; ; await delay(100)) {
        const { rows } = await pool.query<{ state: string; count: number }>("SELECT state, count(*)::int FROM jobs GROUP BY state");
        const states = Object.fromEntries(rows.map(({ state, count }) => [state, count]));
        if (states["running"] === jobs) break;
        if (states["failed"] || Date.now() > end) throw new Error(`not all of ${jobs} jobs run: ${JSON.stringify(states)}`);
      }
      const all = seconds();
      say(`${jobs} jobs of one device on ${nodes} nodes through all of Muster: submitted in ${submitted.toFixed(1)} s, all running after ${all.toFixed(1)} s`);
      return { jobs_4000_on_500_nodes_s: Math.round(all * 10) / 10, jobs_4000_submitted_s: Math.round(submitted * 10) / 10 };
    } finally {
      await pool.end();
    }
  } finally {
    await muster?.stop({ workers: "kill" });
    await cluster.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function declare({ client }: Standalone, cluster: FakeCluster, nodes: number): Promise<void> {
  await client.pools.put("fake", { name: "fake", engine: "kubernetes", vendor: "nvidia", accelerator: "h100", fabric_levels: [], runtime: { image: "any" } });
  await client.shards.put("fake", {
    name: "fake",
    config: {
      kubeconfig: cluster.plane.kubeconfig(),
      namespace: NAMESPACE,
      pools: [{ pool: "fake", match: { kind: "fake" } }],
      logs: "none",
      bind_timeout: 600,
    },
  });
  for (const end = Date.now() + 60_000; ; await delay(200)) {
    const found = (await Array.fromAsync(client.nodes.list({ pool: "fake" }))).filter((one) => one.reachable).length;
    if (found === nodes) return;
    if (Date.now() > end) throw new Error(`Muster knows ${found} of ${nodes} nodes`);
  }
}
