import { afterAll, beforeAll, expect, it } from "vitest";
import { TestCluster } from "../support/cluster.ts";

const WAIT = { timeout: 40_000, interval: 50 };
const SLOW = "n1";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await TestCluster.create(["n0", SLOW, "n2", "n3"].map((name) => ({ name })));
  await cluster.startScheduler();
  await cluster.startSupervisor({ straggler: { span: 1500, windows: 3, restart: 500 }, agent: { step_times_every: 0.3 } });
});
afterAll(() => cluster.close());

const kinds = async (id: string): Promise<string[]> =>
  (await cluster.pool.query<{ kind: string }>("SELECT kind FROM events WHERE job = $1 ORDER BY seq", [id])).rows.map((row) => row.kind);

/** A gang of three whose rank on the slow node takes twice as long for a step, until its first attempt is over or it may end. */
async function gang(): Promise<string> {
  const script = `own=0.2; if [ "$MUSTER_NODE" = ${SLOW} ]; then own=0.4; fi
    if [ "$MUSTER_ATTEMPT" = 2 ]; then echo '{"step": 90}' >> "$MUSTER_PROGRESS_FILE"; exit 0; fi
    step=0
    while :; do
      step=$((step + 1))
      echo "{\\"step\\": $step, \\"step_time\\": $own}" >> "$MUSTER_PROGRESS_FILE"
      if [ "$MUSTER_NODE_RANK" = 0 ] && [ $((step % 10)) = 0 ]; then d="$MUSTER_CHECKPOINT_DIR/step-$step"; mkdir "$d"; echo "saved $step $d"; fi
      sleep 0.1
    done`;
  const [id] = (await cluster.submit({
    nodes: 3,
    accelerator: "h800",
    resources: { accelerators: 8 },
    run: ["sh", "-c", script],
    checkpoint: { committed: "^saved (?<step>\\d+) (?<path>\\S+)$" },
    recovery: { max_restarts: 0 },
  })) as [string];
  return id;
}

it("a rank that slows its gang down is only spoken of where the rule says so, and its node is left where that is worth a restart", async () => {
  const rule = (rules: unknown): Promise<unknown> => cluster.pool.query("UPDATE cluster SET settings = $1", [JSON.stringify({ rules })]);
  await rule([{ id: "straggler", action: "ignore" }]);
  await cluster.pool.query("UPDATE nodes SET health = 'cordoned', health_reason = 'test', health_actor = 'test', schedulable = false WHERE name = 'n3'");
  const id = await gang();
  await expect.poll(() => kinds(id), WAIT).toContain("job.straggler");
  const { rows: said } = await cluster.pool.query(
    "SELECT j.conditions, e.node, e.data FROM jobs j JOIN events e ON e.job = j.id AND e.kind = 'job.straggler' WHERE j.id = $1",
    [id],
  );
  expect(said).toMatchObject([
    {
      conditions: ["straggler"],
      node: SLOW,
      data: { own: expect.closeTo(0.4), peers: expect.closeTo(0.2), evidence: [expect.stringContaining(`on ${SLOW} takes 0.400 s`), expect.any(String)] },
    },
  ]);
  expect(await cluster.job(id)).toMatchObject({ state: "running", attempt: 1 });

  // no node is free to take its place: nothing would be won
  await rule([]);
  const age = async (): Promise<number> =>
    (await cluster.pool.query<{ s: number }>("SELECT extract(epoch FROM now() - at)::float8 AS s FROM events WHERE job = $1 AND kind = 'job.straggler'", [id]))
      .rows[0]?.s ?? 0;
  await expect.poll(age, WAIT).toBeGreaterThan(4);
  expect(await cluster.job(id)).toMatchObject({ state: "running", attempt: 1 });

  await cluster.pool.query("UPDATE nodes SET health = 'ready', health_reason = NULL, health_actor = NULL, schedulable = true WHERE name = 'n3'");
  await cluster.pool.query("INSERT INTO events (kind, actor, node, pool) VALUES ('node.uncordon', 'test', 'n3', 'h800')");
  const job = await cluster.untilState(id, "succeeded", "failed");
  expect(job).toMatchObject({ state: "succeeded", attempt: 2, user_failures: 0, infrastructure_failures: 1, failure: { rule: "straggler", node: SLOW } });
  expect(await kinds(id)).toContain("job.leaves_slow_node");
  const { rows: nodes } = await cluster.pool.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 AND attempt = 2 ORDER BY node", [id]);
  expect(nodes.map(({ node }) => node)).toEqual(["n0", "n2", "n3"]);
});
