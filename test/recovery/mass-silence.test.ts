import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { closeIncident } from "@muster/store";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";
import { agentPid, signalAll } from "../support/processes.ts";

const SILENCE = { suspect: 2000, lost: 4000 };
const WAIT = { timeout: 60_000, interval: 50 };

let cluster: TestCluster;
let agents: number[] = [];

beforeAll(async () => {
  // five nodes on five switches with one agent, so that all fall silent at once, and one that stays
  const far = [0, 1, 2, 3, 4].map((index) => ({ name: `far-${index}`, shard: "far", devices: 1, fabric: ["zone", "spine", `leaf-${index}`, `far-${index}`] }));
  cluster = await TestCluster.create([...far, { name: "near", shard: "near", pool: "h20", devices: 1 }]);
  await cluster.startScheduler();
  await cluster.startSupervisor({ silence: SILENCE });
});
afterEach(() => signalAll(agents, "SIGCONT"));
afterAll(() => cluster.close());

/** A job on the far nodes, which are silent from then on. */
async function startFar(enough: string): Promise<string> {
  const [id] = (await cluster.submit({
    accelerator: "h800",
    resources: { accelerators: 1 },
    env: { ENOUGH: join(cluster.dir, enough) },
    run: ["sh", "-c", 'until [ "$MUSTER_ATTEMPT" = 2 ] || [ -e "$ENOUGH" ]; do sleep 0.1; done'],
  })) as [string];
  await cluster.untilState(id, "running");
  agents = [agentPid(cluster.agentDir("far")) as number];
  signalAll(agents, "SIGSTOP");
  return id;
}

const incidents = async (): Promise<{ id: string }[]> =>
  (await cluster.pool.query("SELECT id FROM incidents WHERE kind = 'mass_silence' AND closed_at IS NULL")).rows;
const lostNodes = async (): Promise<number> => (await cluster.pool.query("SELECT FROM nodes WHERE lost_since IS NOT NULL")).rowCount ?? 0;
const silentFor = async (): Promise<number> =>
  (await cluster.pool.query<{ s: number }>("SELECT extract(epoch FROM now() - last_seen)::float AS s FROM shards WHERE name = 'far'")).rows[0]?.s ?? 0;

describe("many nodes that fall silent at once", () => {
  it("are not declared lost, and nothing was broken when they are heard of again", async () => {
    const id = await startFar("enough-1");
    await expect.poll(incidents, WAIT).toHaveLength(1);
    await expect.poll(silentFor, WAIT).toBeGreaterThan((SILENCE.lost / 1000) * 1.5);
    expect(await lostNodes()).toBe(0);
    signalAll(agents, "SIGCONT");
    await expect.poll(incidents, WAIT).toEqual([]);
    writeFileSync(join(cluster.dir, "enough-1"), "");
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 1 });
  });

  it("are declared lost when an operator closes the incident", async () => {
    const id = await startFar("enough-2");
    await expect.poll(incidents, WAIT).toHaveLength(1);
    expect(await lostNodes()).toBe(0);
    const [open] = await incidents();
    await closeIncident(cluster.pool, open?.id ?? "", "an operator says that they are off");
    await expect.poll(lostNodes, WAIT).toBe(5);
    // it could only run there, so it waits, its attempt given up
    await cluster.untilState(id, "queued");
    const { rows } = await cluster.pool.query("SELECT number, outcome FROM attempts WHERE job = $1", [id]);
    expect(rows).toEqual([{ number: 1, outcome: "superseded" }]);
    signalAll(agents, "SIGCONT");
    expect(await cluster.untilState(id, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2 });
  });
});

describe("after a restart of the control plane", () => {
  it("nothing is declared lost before one lost limit has passed", async () => {
    await expect.poll(lostNodes, WAIT).toBe(0);
    const reachable = async (): Promise<number> => (await cluster.pool.query("SELECT FROM shards WHERE name = 'near' AND reachable")).rowCount ?? 0;
    await expect.poll(reachable, WAIT).toBe(1);
    agents = [agentPid(cluster.agentDir("near")) as number];
    signalAll(agents, "SIGSTOP");
    await expect.poll(async () => (await cluster.pool.query("SELECT FROM nodes WHERE name = 'near' AND NOT reachable")).rowCount, WAIT).toBe(1);
    await (cluster.supervisors.pop() as { close(): Promise<void> }).close();
    const away = async (): Promise<number> =>
      (await cluster.pool.query<{ s: number }>("SELECT extract(epoch FROM now() - last_seen)::float AS s FROM shards WHERE name = 'near'")).rows[0]?.s ?? 0;
    await expect.poll(away, WAIT).toBeGreaterThan(SILENCE.lost / 1000);
    const { rows: began } = await cluster.pool.query<{ now: Date }>("SELECT now()");
    await cluster.startSupervisor({ silence: SILENCE });
    await expect.poll(lostNodes, WAIT).toBe(1);
    const { rows } = await cluster.pool.query<{ lost_since: Date }>("SELECT lost_since FROM nodes WHERE name = 'near'");
    expect((rows[0]?.lost_since.getTime() ?? 0) - (began[0]?.now.getTime() ?? 0)).toBeGreaterThanOrEqual(SILENCE.lost);
  });
});
