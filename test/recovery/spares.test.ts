import { appendEvents, readSpares, reportHealth, transaction } from "@muster/store";
import { planSpares } from "@muster/lifecycle";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";

const WAIT = { timeout: 40_000, interval: 50 };
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create(["n0", "n1", "n2"].map((name) => ({ name, devices: 1 })));
  await cluster.startScheduler();
  await cluster.startSupervisor();
});
afterAll(() => cluster.close());

const spares = async (): Promise<string[]> =>
  (await cluster.pool.query<{ name: string }>("SELECT name FROM nodes WHERE spare ORDER BY name")).rows.map(({ name }) => name);
const nodeOf = async (id: string): Promise<string> =>
  (await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 ORDER BY attempt DESC LIMIT 1", [id])).rows[0]?.node ?? "";

it("a spare is held back from new work, lent to what is preemptible, and there for what comes back from a fault", async () => {
  await cluster.pool.query(`UPDATE pools SET spec = spec || '{"spares": 1}'`);
  await appendEvents(cluster.pool, [{ kind: "pool.put", actor: "test", pool: "h800" }]);
  await expect.poll(spares, WAIT).toHaveLength(1);
  const [spare = ""] = await spares();

  const steady = { accelerator: "h800", resources: { accelerators: 1 }, preemptible: false, recovery: { max_restarts: 0 } };
  const work = (name: string) => ({ ...steady, name, run: ["sh", "-c", 'test "$MUSTER_ATTEMPT" = 2 || sleep 600'] });
  const [first, second, third] = (await cluster.submit(work("first"), work("second"), work("third"))) as [string, string, string];
  await Promise.all([first, second].map((id) => cluster.untilState(id, "running")));
  expect([await nodeOf(first), await nodeOf(second)]).not.toContain(spare);

  const [lent] = (await cluster.submit({ ...steady, name: "lent", preemptible: true, run: ["sleep", "600"], checkpoint: { grace: 1 } })) as [string];
  await cluster.untilState(lent, "running");
  expect(await nodeOf(lent)).toBe(spare);
  expect(await cluster.job(third)).toMatchObject({ state: "queued", attempt: 0 });
  expect((await readSpares(cluster.pool, "h800"))[0]).toMatchObject({ wanted: 1, heldBack: 1, lent: 1, failures: 0, repairs: [] });

  // the node of one breaks: what was lent the spare gives way, and the other that waits is not let on it
  const broken = await nodeOf(first);
  await transaction(cluster.pool, (client) => reportHealth(client, broken, { status: "fatal", check: "dcgm", message: "Xid 79" }, "checker"));
  expect(await cluster.untilState(first, "succeeded", "failed")).toMatchObject({ state: "succeeded", attempt: 2 });
  expect(await nodeOf(first)).toBe(spare);
  const { rows } = await cluster.pool.query("SELECT data->'cause' AS cause FROM events WHERE job = $1 AND kind = 'job.preempted'", [lent]);
  expect(rows).toEqual([{ cause: { kind: "spare", for: first } }]);
  expect(await cluster.job(third)).toMatchObject({ attempt: 0 });

  // what was seen of the pool sizes its spares
  await transaction(cluster.pool, (client) => reportHealth(client, broken, { status: "ok", check: "dcgm", message: "" }, "checker"));
  const [known] = await readSpares(cluster.pool, "h800");
  expect(known).toMatchObject({ nodes: 3, failures: 1, repairs: [expect.any(Number)] });
  expect(known && planSpares(known).spares).toBeGreaterThanOrEqual(1);
  for (const id of [second, third, lent]) await cluster.act(id, "cancel");
});
