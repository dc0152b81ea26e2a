import { appendEvents, applyJobAction, commitStarts, takeLease, transaction, type Lease, type Pool } from "@muster/store";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testDatabase, type TestDatabase } from "@muster/store/testing";
import { DecisionWriter } from "./decisions.ts";
import { applyChanges, Changes, follow, load } from "./follow.ts";
import { Mirror } from "./mirror.ts";
import { endAttempts, makeCluster, newJob, submit } from "./testing/cluster.ts";

let database: TestDatabase;
let pool: Pool;
let lease: Lease;
const now = (): number => Date.now();

beforeAll(async () => {
  database = await testDatabase();
  ({ pool } = database);
  await makeCluster(
    pool,
    [
      { name: "h800", accelerator: "h800", nodes: 6, devices: 4, leaf: 3 },
      { name: "h20", accelerator: "h20", nodes: 3, devices: 2, leaf: 3 },
    ],
    [{ name: "default" }, { name: "team", spec: { nominal: { h800: 8 }, borrow_limit: { h800: 4 } } }],
  );
  lease = (await takeLease(pool, "scheduler", "me", 600)) as Lease;
});

afterAll(async () => {
  await database.drop();
});

/** A repeatable source of choices (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** What can be seen of a mirror, in an order of its own. (Places kept for a preemptor are not stored, so nothing is preemptible here.) */
function seen(mirror: Mirror): unknown {
  const byId = [...mirror.jobs.values()].sort((a, b) => (a.row.id < b.row.id ? -1 : 1));
  return {
    jobs: byId.map((job) => ({
      id: job.row.id,
      state: job.row.state,
      attempt: job.row.attempt,
      version: job.row.version,
      running: job.running,
      leftovers: job.leftovers,
      rendezvous: job.rendezvous,
    })),
    // which elements of an array go first may depend on history, but not how many
    reasons: byId
      .filter((job) => job.running === null && job.told !== null && job.row.array_id === null)
      .map((job) => [job.row.id, mirror.engine.explain(job.row.id).reason]),
    open: byId.filter((job) => job.row.array_id !== null && mirror.arrays.isOpen(job.row.id)).length,
    capacity: mirror.engine.capacity().toSorted((a, b) => (a.pool < b.pool ? -1 : 1)),
    queues: [...mirror.queues.keys()].sort(),
    nodes: [...mirror.nodes.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

const SIZES = [
  { resources: { accelerators: 1 } },
  { resources: { accelerators: 4 } },
  { nodes: 2, resources: { accelerators: 2 } },
  { nodes: 3, resources: { accelerators: 4 } },
  { resources: { share: 0.25 } },
  { resources: { accelerators: 1, cpus: 3 } },
];

async function pick(next: (below: number) => number, where: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ id: string }>(`SELECT id FROM jobs WHERE ${where} ORDER BY id`);
  return rows[next(Math.max(1, rows.length))]?.id;
}

async function change(next: (below: number) => number): Promise<void> {
  const model = (): string => (next(3) === 0 ? "h20" : "h800");
  const actions = ["hold", "release", "suspend", "resume", "cancel", "requeue"] as const;
  const kind = next(12);
  if (kind <= 2) {
    const queue = next(2) === 0 ? "default" : "team";
    await submit(pool, [
      newJob({
        queue,
        accelerator: model(),
        preemptible: false,
        priority: (["low", "normal", "high"] as const)[next(3)] ?? "normal",
        ...SIZES[next(SIZES.length)],
      }),
    ]);
  } else if (kind === 3) {
    const head = newJob({});
    await submit(
      pool,
      Array.from({ length: 4 }, (_, index) => ({
        ...newJob({ resources: { accelerators: 1 }, preemptible: false }),
        ...(index === 0 && { id: head.id }),
        arrayId: head.id,
        arrayIndex: index,
        arrayLimit: 2,
      })),
    );
  } else if (kind <= 6) {
    const id = await pick(next, "state IN ('scheduled', 'stopping')");
    if (id) await endAttempts(pool, [id], (["succeeded", "succeeded", "queued", "failed"] as const)[next(4)] ?? "succeeded");
  } else if (kind <= 8) {
    const id = await pick(next, "finished_at IS NULL OR state = 'failed'");
    if (id)
      await transaction(pool, async (client) =>
        applyJobAction(client, { jobId: id, action: actions[next(actions.length)] ?? "hold", reason: "", actor: "test" }),
      );
  } else if (kind === 9) {
    const node = `h800-${next(6)}`;
    const cordon = next(2) === 0;
    await transaction(pool, async (client) => {
      await client.query("UPDATE nodes SET health = $2, health_reason = $3, health_actor = $3, schedulable = $4 WHERE name = $1", [
        node,
        cordon ? "cordoned" : "ready",
        cordon ? "test" : null,
        !cordon,
      ]);
      await appendEvents(client, [{ kind: "node.changed", actor: "test", node }]);
    });
  } else if (kind === 10) {
    // an attempt is given up while one of its workers can't be reached: it keeps what it holds
    const id = await pick(next, "state = 'scheduled'");
    if (!id) return;
    await transaction(pool, async (client) => {
      await client.query("UPDATE workers SET state = 'lost', ended_at = now(), released = node_rank > 0 WHERE job = $1 AND NOT released", [id]);
      await client.query("UPDATE attempts SET state = 'ended', ended_at = now(), outcome = 'superseded' WHERE job = $1 AND state <> 'ended'", [id]);
      await client.query("UPDATE jobs SET state = 'queued', version = version + 1 WHERE id = $1", [id]);
      await appendEvents(client, [{ kind: "job.queued", actor: "test", job: id }]);
    });
  } else {
    const { rows } = await pool.query<{ job: string }>(
      "SELECT DISTINCT w.job FROM workers w JOIN attempts a ON (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt) WHERE NOT w.released AND a.state = 'ended' ORDER BY w.job",
    );
    const id = rows[next(Math.max(1, rows.length))]?.job;
    if (!id) return;
    await transaction(pool, async (client) => {
      await client.query(
        "UPDATE workers w SET released = true FROM attempts a WHERE (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt) AND a.state = 'ended' AND w.job = $1 AND NOT w.released",
        [id],
      );
      await appendEvents(client, [{ kind: "attempt.released", actor: "test", job: id }]);
    });
  }
}

test.each([1, 2, 3])("what was followed equals what is read anew, after any changes (seed %i)", async (seed) => {
  const next = random(seed);
  const followed = new Mirror(now);
  let told = await load(pool, followed);
  const logger = pino({ level: "silent" });
  const writer = new DecisionWriter({ pool, lease, holder: "me", mirror: followed, logger, now });
  let changes = new Changes();
  for (let step = 0; step < 60; step++) {
    for (let many = 0; many <= next(3); many++) await change(next);
    const result = await follow(pool, followed, told, changes);
    told = result.seen;
    const batch = changes;
    changes = new Changes();
    await applyChanges(pool, followed, batch);
    // a change that the scheduler has not heard of yet meets its decision
    const cycle = followed.engine.cycle(now());
    if (next(3) === 0) await change(next);
    const committed = await writer.commit(cycle, changes);
    expect(committed).toMatchObject({ taken: 0, refused: 0 });
    if (step % 5 !== 4) continue;
    const rest = await follow(pool, followed, told, changes);
    told = rest.seen;
    await applyChanges(pool, followed, changes);
    changes = new Changes();
    const anew = new Mirror(now);
    await load(pool, anew);
    expect(seen(followed)).toEqual(seen(anew));
  }
  const { rows } = await pool.query("SELECT count(*)::int AS jobs, max(attempt) AS attempt FROM jobs WHERE attempt > 0");
  expect(rows[0].jobs).toBeGreaterThan(10);
});

test("a decision on what changed since it was read writes nothing", async () => {
  const [id] = await submit(pool, [newJob({ resources: { cpus: 1 } })]);
  const start = {
    job: id as string,
    expected: { attempt: 0, version: 7 },
    variant: 0,
    rendezvous: { address: "127.0.0.1", port: 20_001 },
    why: "",
    locality: 1,
    workers: [{ role: "worker", nodeRank: 0, firstRank: 0, ranks: 1, node: "h20-0", shard: "test", devices: [], share: 1000, cpus: 1, memory: 1 }],
  };
  expect((await commitStarts(pool, lease, "me", [start])).opened.size).toBe(0);
  await expect(commitStarts(pool, { ...lease, epoch: "99" }, "me", [start])).rejects.toThrow("no longer ours");
  const { rows } = await pool.query("SELECT state, attempt FROM jobs WHERE id = $1", [id]);
  expect(rows).toEqual([{ state: "queued", attempt: 0 }]);
});

test("a start whose place others took is looked at again; only one that is refused twice shows that what is in memory is wrong", async () => {
  const other = await testDatabase();
  try {
    await makeCluster(other.pool, [{ name: "h20", accelerator: "h20", nodes: 1, devices: 2, leaf: 1 }], [{ name: "default" }]);
    const own = (await takeLease(other.pool, "scheduler", "me", 600)) as Lease;
    const [id = ""] = await submit(other.pool, [newJob({ accelerator: "h20", resources: { accelerators: 2 } })]);
    let time = Date.now();
    const mirror = new Mirror(() => time);
    await load(other.pool, mirror);
    const writer = new DecisionWriter({ pool: other.pool, lease: own, holder: "me", mirror, logger: pino({ level: "silent" }), now: () => time });
    const decide = () => writer.commit(mirror.engine.cycle(time), new Changes());
    const hold = (share: number) => other.pool.query("UPDATE node_usage SET held = ARRAY[$1, $1]::smallint[]", [share]);
    await hold(1000);
    expect(await decide()).toMatchObject({ starts: 0, dropped: 1, taken: 1, refused: 0 });
    time += 1000;
    expect(await decide()).toMatchObject({ starts: 0, dropped: 1, taken: 0, refused: 1 });
    await hold(0);
    time += 5000;
    expect(await decide()).toMatchObject({ starts: 1 });
    expect(mirror.jobs.get(id)?.row.state).toBe("scheduled");
  } finally {
    await other.drop();
  }
});
