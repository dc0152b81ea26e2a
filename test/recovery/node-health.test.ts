import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decideHealth, nextNodeHealth } from "@muster/lifecycle";
import { listIncidents, lockReportedNode, recordFaults, setNodeHealth, transaction } from "@muster/store";
import type { NodeHealth } from "@muster/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { processesOf } from "../support/processes.ts";

const WAIT = { timeout: 30_000, interval: 50 };
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create([
    { name: "n0", devices: 1 },
    { name: "n1", devices: 1 },
    { name: "machine", shard: "machine", pool: "h20", devices: 1 },
  ]);
  writeFileSync(kernelLog(), "");
  await cluster.startScheduler();
  await cluster.startSupervisor({ agent: { kernel_log: kernelLog() } });
});
afterAll(() => cluster.close());

const kernelLog = (): string => join(cluster.dir, "kern.log");

/** What the API does with a check's report. */
async function report(node: string, status: "ok" | "fatal"): Promise<void> {
  await transaction(cluster.pool, async (client) => {
    const row = await lockReportedNode(client, node);
    if (!row) throw new Error(`no node ${node}`);
    let health: NodeHealth = row.health;
    for (const event of decideHealth({ health, setBy: row.set_by, quarantined: row.quarantined, total: row.total }, { status, check: "dcgm" }).events)
      health = nextNodeHealth(health, event) ?? health;
    await setNodeHealth(client, node, health, "dcgm: Xid 79", "checker", null, status === "ok" ? null : "dcgm");
  });
}

const health = async (node: string): Promise<string | undefined> =>
  (await cluster.pool.query<{ health: string }>("SELECT health FROM nodes WHERE name = $1", [node])).rows[0]?.health;

describe("a node whose kernel says that a device failed", () => {
  it("is taken out at once, with the line as evidence; what a program may cause is only kept", async () => {
    const { rows } = await cluster.pool.query<{ reachable: boolean }>("SELECT reachable FROM shards WHERE name = 'machine'");
    expect(rows).toHaveLength(1);
    const noticed = async (): Promise<unknown[]> =>
      (
        await cluster.pool.query(
          "SELECT data->>'rule' AS rule, data->>'status' AS status FROM events WHERE kind = 'node.noticed' AND node = 'machine' ORDER BY seq",
        )
      ).rows;
    await expect.poll(async () => (await cluster.pool.query("SELECT FROM shards WHERE name = 'machine' AND reachable")).rowCount, WAIT).toBe(1);
    appendFileSync(kernelLog(), "NVRM: Xid (PCI:0000:3b:00): 31, pid=4711, MMU Fault\n");
    await expect.poll(noticed, WAIT).toEqual([{ rule: "xid_31", status: "info" }]);
    expect(await health("machine")).toBe("ready");
    appendFileSync(kernelLog(), "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.\n");
    await expect.poll(() => health("machine"), WAIT).toBe("cordoned");
    expect(await listIncidents(cluster.pool, { visible: null, node: "machine" }, 10, null)).toMatchObject([
      {
        kind: "node_health",
        severity: "critical",
        rule: "xid_79",
        evidence: ["a device reported: the device fell off the bus: NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."],
      },
    ]);
  });
});

describe("a node that a check calls broken", () => {
  it("is left at once by a job that may not be evicted, at no cost to it, and comes back over probation", async () => {
    const [id] = (await cluster.submit({
      accelerator: "h800",
      resources: { accelerators: 1 },
      preemptible: false,
      run: ["sh", "-c", 'test "$MUSTER_ATTEMPT" = 2 || sleep 600'],
      recovery: { max_restarts: 0 },
    })) as [string];
    await cluster.untilState(id, "running");
    const { rows } = await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1", [id]);
    const bad = rows[0]?.node ?? "";
    await report(bad, "fatal");
    expect(await health(bad)).toBe("cordoned");
    const job = await cluster.untilState(id, "succeeded", "failed");
    expect(job).toMatchObject({
      state: "succeeded",
      attempt: 2,
      user_failures: 0,
      infrastructure_failures: 1,
      failure: { rule: "bad_node", class: "infrastructure" },
    });
    const { rows: nodes } = await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 AND attempt = 2", [id]);
    expect(nodes).toEqual([{ node: bad === "n0" ? "n1" : "n0" }]);
    expect(processesOf(id)).toEqual([]);
    // the pool has two nodes, of which one may be out by checks
    const other = bad === "n0" ? "n1" : "n0";
    await report(other, "fatal");
    expect(await health(other)).toBe("suspect");
    await report(other, "ok");
    expect(await health(other)).toBe("ready");
    await report(bad, "ok");
    expect(await health(bad)).toBe("probation");
    await cluster.pool.query("UPDATE nodes SET health_since = now() - interval '25 hours' WHERE name = $1", [bad]);
    await expect.poll(() => health(bad), WAIT).toBe("ready");
  });

  it("and its neighbour below the same leaf switch within a minute are one incident, closed when they are well", async () => {
    await cluster.pool.query("DELETE FROM incidents");
    await report("n0", "fatal");
    const fault = (node: string) => ({
      kind: "node_health" as const,
      severity: "warning" as const,
      node,
      evidence: [`${node} is bad`],
      class: "infrastructure",
      rule: "check dcgm",
      action: "cordoned",
    });
    const ids = await transaction(cluster.pool, (client) => recordFaults(client, [fault("n0"), fault("n1")]));
    expect(ids[0]).toBe(ids[1]);
    const read = async (): Promise<unknown[]> => listIncidents(cluster.pool, { visible: null, node: "n0", open: true }, 10, null);
    expect(await read()).toMatchObject([{ id: ids[0], evidence: ["n0 is bad", "n1 is bad"] }]);
    await report("n0", "ok");
    await expect.poll(read, WAIT).toEqual([]);
  });
});
