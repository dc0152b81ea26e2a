import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repairHook } from "@muster/model";
import { readLemons, reportHealth, transaction } from "@muster/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drainLemons } from "../../services/supervisor/src/lemons.ts";
import { TestCluster } from "../support/cluster.ts";

const WAIT = { timeout: 40_000, interval: 100 };
let cluster: TestCluster;
const repaired = (): string => join(cluster.dir, "repaired");

beforeAll(async () => {
  cluster = await TestCluster.create(["n0", "n1", "n2"].map((name) => ({ name, devices: 1 })));
  await cluster.startScheduler();
  const command = ["sh", "-c", `test -e ${repaired()} || { echo "no card in $MUSTER_NODE"; exit 1; }; echo "reset $MUSTER_NODE"`];
  await cluster.startSupervisor({ repairHooks: [repairHook.parse({ name: "reset", command, tries: 3, backoff: 0.2 })] });
});
afterAll(() => cluster.close());

const node = async (name: string): Promise<{ health: string; reason: string | null }> =>
  (await cluster.pool.query<{ health: string; reason: string | null }>("SELECT health, health_reason AS reason FROM nodes WHERE name = $1", [name]))
    .rows[0] as never;
const health = async (name: string): Promise<string> => (await node(name)).health;
const moves = async (name: string): Promise<string[]> =>
  (
    await cluster.pool.query<{ move: string }>(
      "SELECT kind || ' ' || (data->>'from') || ' ' || (data->>'to') || ' ' || actor AS move FROM events WHERE node = $1 AND data ? 'from' AND data ? 'reason' ORDER BY xid, seq",
      [name],
    )
  ).rows.map(({ move }) => move);
const report = (name: string, status: "ok" | "fatal", check: string): Promise<boolean> =>
  transaction(cluster.pool, (client) => reportHealth(client, name, { status, check, message: "Xid 79" }, "checker"));
const uncordon = (name: string): Promise<unknown> =>
  cluster.pool.query("UPDATE nodes SET health = 'ready', health_reason = NULL, health_actor = NULL, health_check = NULL, schedulable = true WHERE name = $1", [
    name,
  ]);

describe("a node that is out of service", () => {
  it("is repaired by its hook, which is tried again, and left to a person where it can't be", async () => {
    await report("n0", "fatal", "dcgm");
    await expect.poll(() => health("n0"), WAIT).toBe("diagnosing");
    await expect.poll(() => node("n0"), WAIT).toMatchObject({ health: "cordoned", reason: expect.stringMatching(/^reset: after 3 tries: .*no card in n0/) });
    expect(await moves("n0")).toEqual([
      "node.cordon ready cordoned checker",
      "node.diagnose cordoned diagnosing supervisor",
      "node.cordon diagnosing cordoned supervisor",
    ]);
    const { rows } = await cluster.pool.query("SELECT hook, state, tries FROM repairs WHERE node = 'n0'");
    expect(rows).toEqual([{ hook: "reset", state: "failed", tries: 3 }]);
    const { rows: incidents } = await cluster.pool.query("SELECT severity, action FROM incidents WHERE node = 'n0' ORDER BY id");
    expect(incidents.at(-1)).toMatchObject({ severity: "critical" });
    await uncordon("n0");
  });

  it("goes on probation when it was repaired, and is retired when it breaks again and again", async () => {
    writeFileSync(repaired(), "");
    expect(existsSync(repaired())).toBe(true);
    for (let time = 1; time <= 3; time++) {
      await report("n1", "fatal", "dcgm");
      await expect.poll(() => health("n1"), WAIT).toBe("probation");
      expect((await node("n1")).reason).toBe("reset: reset n1");
    }
    await report("n1", "fatal", "dcgm");
    await expect.poll(() => health("n1"), WAIT).toBe("retired");
    expect((await node("n1")).reason).toMatch(/broke again after 3 repairs within 28 days/);
  });
});

describe("a node that breaks again and again", () => {
  it("has a score, and its work leaves it as far as the quarantine has room", async () => {
    for (const days of [20, 10, 1])
      await cluster.pool.query(
        "INSERT INTO incidents (id, kind, class, rule, node, opened_at, closed_at) VALUES ($1, 'job_failure', 'unknown', 'crash', 'n2', now() - make_interval(days => $2), now())",
        [`inc_lemon_${days}`, days],
      );
    expect(await readLemons(cluster.pool, ["n2"])).toMatchObject([{ node: "n2", score: 3, episodes: 3, since_repair: 3, repairs: 0 }]);
    // n0's failed repair keeps the one place that a pool of this size has
    await cluster.pool.query(
      "UPDATE nodes SET health = 'cordoned', health_reason = 'r', health_actor = 'a', health_check = 'repair', schedulable = false WHERE name = 'n0'",
    );
    expect(await drainLemons(cluster.pool)).toBe(false);
    await uncordon("n0");
    expect(await drainLemons(cluster.pool)).toBe(true);
    await expect.poll(() => health("n2"), WAIT).toBe("probation");
    expect((await moves("n2")).slice(0, 4)).toEqual([
      "node.drain ready draining supervisor",
      "node.drained draining cordoned supervisor",
      "node.diagnose cordoned diagnosing supervisor",
      "node.passed diagnosing probation supervisor",
    ]);
    // its history stays, and begins anew for the rule
    expect(await readLemons(cluster.pool, ["n2"])).toMatchObject([{ score: 3, since_repair: 0, repairs: 1 }]);
    expect(await drainLemons(cluster.pool)).toBe(false);
  });
});
