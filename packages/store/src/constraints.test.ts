import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureCluster } from "./cluster.ts";
import { sqlState, transaction, type Client } from "./pool.ts";
import { ensurePartitions } from "./retention.ts";
import { testDatabase, type TestDatabase } from "./test-database.ts";

let db: TestDatabase;
let incarnation: string;
let jobs = 0;

beforeAll(async () => {
  db = await testDatabase();
  incarnation = (await ensureCluster(db.pool)).incarnation;
  await db.pool.query("INSERT INTO projects (name) VALUES ('p')");
  await db.pool.query("INSERT INTO queues (name, projects) VALUES ('q', '{p}')");
  await db.pool.query("INSERT INTO pools (name, engine, vendor, accelerator) VALUES ('h800', 'local', 'nvidia', 'h800')");
  await db.pool.query("INSERT INTO shards (name, engine) VALUES ('s', 'local')");
  await db.pool.query("INSERT INTO nodes (name, pool, shard, devices, cpus, memory) SELECT 'n' || i, 'h800', 's', 4, 8000, 1000 FROM generate_series(0, 3) i");
});
afterAll(() => db.drop());

async function job(): Promise<string> {
  const id = `job_${String(jobs++).padStart(26, "0")}`;
  await db.pool.query(
    `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at)
     VALUES ($1, 'p', 'q', 'j', 'me', 0, 'normal', true, 1, 1, 'queued', $2, now())`,
    [id, incarnation],
  );
  await db.pool.query("INSERT INTO job_specs (job, submitted, resolved) VALUES ($1, '{}', '{}')", [id]);
  return id;
}

interface Member {
  node: string;
  devices: number[];
  share?: number;
  cpus?: number;
}

async function open(client: Client, id: string, number: number, members: Member[], gang = members.length): Promise<void> {
  await client.query("UPDATE jobs SET attempt = $2, state = 'scheduled' WHERE id = $1", [id, number]);
  await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, $3, $4, 0)", [id, incarnation, number, gang]);
  for (const [rank, member] of members.entries()) {
    await client.query(
      `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
       VALUES ($1, $2, $3, $4, 'worker', $5, $5, 1, $6, 's', $7, $8, $9, 10)`,
      [id, incarnation, number, `worker/${rank}`, rank, member.node, member.devices, member.share ?? 1000, member.cpus ?? 100],
    );
  }
}

async function refusal(work: (client: Client) => Promise<unknown>): Promise<string | undefined> {
  return transaction(db.pool, work).then(
    () => undefined,
    (error: unknown) => sqlState(error) ?? String(error),
  );
}

const held = async (node: string): Promise<number[]> =>
  (await db.pool.query<{ held: number[] }>("SELECT held FROM node_usage WHERE node = $1", [node])).rows[0]?.held ?? [];

async function end(id: string, number: number): Promise<void> {
  await transaction(db.pool, async (client) => {
    await client.query("UPDATE workers SET state = 'exited', exit_code = 0, ended_at = now(), released = true WHERE job = $1 AND attempt = $2", [id, number]);
    await client.query("UPDATE attempts SET state = 'ended', outcome = 'stopped', ended_at = now() WHERE job = $1 AND number = $2", [id, number]);
    await client.query("UPDATE jobs SET state = 'queued' WHERE id = $1", [id]);
  });
}

describe("what the database itself makes impossible", () => {
  it("holds each device once, in thousandths", async () => {
    const [a, b, c] = [await job(), await job(), await job()];
    await transaction(db.pool, (client) => open(client, a, 1, [{ node: "n0", devices: [0, 1] }]));
    expect(await held("n0")).toEqual([1000, 1000, 0, 0]);
    expect(await refusal((client) => open(client, b, 1, [{ node: "n0", devices: [1, 2] }]))).toBe("23514");
    expect(await refusal((client) => open(client, b, 1, [{ node: "n0", devices: [1], share: 1 }]))).toBe("23514");
    await transaction(db.pool, (client) => open(client, b, 1, [{ node: "n0", devices: [2], share: 600 }]));
    expect(await refusal((client) => open(client, c, 1, [{ node: "n0", devices: [2], share: 401 }]))).toBe("23514");
    await transaction(db.pool, (client) => open(client, c, 1, [{ node: "n0", devices: [2], share: 400 }]));
    expect(await held("n0")).toEqual([1000, 1000, 1000, 0]);
    for (const id of [a, b, c]) await end(id, 1);
    expect(await held("n0")).toEqual([0, 0, 0, 0]);
  });

  it("holds under two transactions at once", async () => {
    const ids = await Promise.all(Array.from({ length: 12 }, () => job()));
    const answers = await Promise.all(
      ids.map((id) =>
        refusal((client) =>
          open(client, id, 1, [
            { node: "n1", devices: [0] },
            { node: "n2", devices: [0] },
          ]),
        ),
      ),
    );
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(1);
    expect(answers.filter((answer) => answer !== undefined).every((answer) => answer === "23514")).toBe(true);
    expect(await held("n1")).toEqual([1000, 0, 0, 0]);
    await end(ids[answers.indexOf(undefined)] as string, 1);
  });

  it("refuses devices, cpus and memory that a node doesn't have", async () => {
    const id = await job();
    expect(await refusal((client) => open(client, id, 1, [{ node: "n3", devices: [4] }]))).toBe("MU002");
    expect(await refusal((client) => open(client, id, 1, [{ node: "n3", devices: [0], cpus: 8001 }]))).toBe("MU002");
    expect(await held("n3")).toEqual([0, 0, 0, 0]);
  });

  it("counts what one statement adds and gives back to several nodes together", async () => {
    const id = await job();
    const add = (member: Record<string, unknown>[]) => async (client: Client) => {
      await client.query("UPDATE jobs SET attempt = 1, state = 'scheduled' WHERE id = $1", [id]);
      await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, 1, $3, 0)", [id, incarnation, member.length]);
      await client.query(
        `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
          SELECT $1, $2, 1, 'worker/' || rank, 'worker', rank, rank, 1, node, 's', devices, share, 100, 10
          FROM jsonb_to_recordset($3) AS m(rank int, node text, devices smallint[], share smallint)`,
        [id, incarnation, JSON.stringify(member)],
      );
    };
    const usage = async (): Promise<unknown> =>
      (await db.pool.query("SELECT node, held, cpus, memory FROM node_usage WHERE node IN ('n0', 'n2') ORDER BY node")).rows;
    const nothing = await usage();
    const whole = [
      { rank: 0, node: "n2", devices: [0, 1], share: 1000 },
      { rank: 1, node: "n0", devices: [3], share: 300 },
      { rank: 2, node: "n0", devices: [3], share: 700 },
      { rank: 3, node: "n0", devices: [], share: 1000 },
    ];
    expect(await refusal(add([...whole, { rank: 4, node: "n0", devices: [3], share: 1 }]))).toBe("23514");
    expect(await refusal(add([...whole, { rank: 4, node: "n2", devices: [1], share: 1000 }]))).toBe("23514");
    expect(await refusal(add([...whole, { rank: 4, node: "n2", devices: [4], share: 1000 }]))).toBe("MU002");
    expect(await refusal(add(Array.from({ length: 50 }, (_, rank) => ({ rank, node: "n0", devices: [1], share: 1000 }))))).toBe("23514");
    expect(await usage()).toEqual(nothing);
    expect(await refusal(add(whole))).toBeUndefined();
    expect(await usage()).toEqual([
      { node: "n0", held: [0, 0, 0, 1000], cpus: 300, memory: 30 },
      { node: "n2", held: [1000, 1000, 0, 0], cpus: 100, memory: 10 },
    ]);
    const release = (ranks: number[]) =>
      db.pool.query("UPDATE workers SET state = 'exited', exit_code = 0, ended_at = now(), released = true WHERE job = $1 AND node_rank = ANY ($2)", [
        id,
        ranks,
      ]);
    await release([1]);
    // that one again gives nothing back
    await release([0, 1, 3]);
    expect(await usage()).toEqual([
      { node: "n0", held: [0, 0, 0, 700], cpus: 100, memory: 10 },
      { node: "n2", held: [0, 0, 0, 0], cpus: 0, memory: 0 },
    ]);
    await end(id, 1);
    expect(await usage()).toEqual(nothing);
  });

  it("counts what is written to a partition directly", async () => {
    const id = await job();
    await transaction(db.pool, async (client) => {
      await client.query("UPDATE jobs SET attempt = 1, state = 'scheduled' WHERE id = $1", [id]);
      await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, 1, 1, 0)", [id, incarnation]);
      await client.query(
        `INSERT INTO workers_default (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
          VALUES ($1, $2, 1, 'worker/0', 'worker', 0, 0, 1, 'n0', 's', '{2}', 1000, 100, 10)`,
        [id, incarnation],
      );
    });
    expect(await held("n0")).toEqual([0, 0, 1000, 0]);
    await db.pool.query("UPDATE workers_default SET state = 'exited', exit_code = 0, ended_at = now(), released = true WHERE job = $1", [id]);
    expect(await held("n0")).toEqual([0, 0, 0, 0]);
    await ensurePartitions(db.pool, Date.now());
    const { rows } = await db.pool.query(
      `SELECT inhrelid::regclass::text AS part, count(t.tgname)::int AS triggers FROM pg_inherits
        LEFT JOIN pg_trigger t ON t.tgrelid = inhrelid AND t.tgname IN ('workers_hold', 'workers_release') WHERE inhparent = 'workers'::regclass GROUP BY 1`,
    );
    expect(rows.length).toBeGreaterThan(2);
    expect(rows.every((row) => row.triggers === 2)).toBe(true);
  });

  it("opens no partial gang, adds no worker later and removes none", async () => {
    const id = await job();
    expect(await refusal((client) => open(client, id, 1, [{ node: "n3", devices: [0] }], 2))).toBe("MU006");
    expect(
      await refusal((client) =>
        open(
          client,
          id,
          1,
          [
            { node: "n3", devices: [0] },
            { node: "n3", devices: [1] },
          ],
          1,
        ),
      ),
    ).toBe("MU006");
    await transaction(db.pool, (client) => open(client, id, 1, [{ node: "n3", devices: [0] }]));
    await db.pool.query("UPDATE attempts SET state = 'starting' WHERE job = $1", [id]);
    expect(
      await refusal((client) =>
        client.query(
          `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
           VALUES ($1, $2, 1, 'worker/1', 'worker', 1, 1, 1, 'n3', 's', '{1}', 1000, 1, 1)`,
          [id, incarnation],
        ),
      ),
    ).toBe("MU004");
    expect(await refusal((client) => client.query("DELETE FROM workers WHERE job = $1", [id]))).toBe("MU008");
    await end(id, 1);
  });

  it("lets no attempt fall, repeat or run ahead of its job", async () => {
    const id = await job();
    await transaction(db.pool, (client) => open(client, id, 1, [{ node: "n3", devices: [0] }]));
    await end(id, 1);
    await transaction(db.pool, (client) => open(client, id, 2, [{ node: "n3", devices: [0] }]));
    await end(id, 2);
    expect(await refusal((client) => open(client, id, 1, [{ node: "n3", devices: [0] }]))).toBe("MU001");
    expect(await refusal((client) => open(client, id, 2, [{ node: "n3", devices: [0] }]))).toBe("23505");
    expect(await refusal((client) => client.query("UPDATE jobs SET incarnation = incarnation - 1 WHERE id = $1", [id]))).toBe("MU001");
    expect(
      await refusal((client) => client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, 7, 1, 0)", [id, incarnation])),
    ).toBe("MU007");
  });

  it("takes nothing back twice, and changes nothing that is held", async () => {
    const id = await job();
    await transaction(db.pool, (client) => open(client, id, 1, [{ node: "n3", devices: [3] }]));
    expect(await refusal((client) => client.query("UPDATE workers SET devices = '{2}' WHERE job = $1", [id]))).toBe("MU005");
    await end(id, 1);
    expect(await refusal((client) => client.query("UPDATE workers SET released = false WHERE job = $1", [id]))).toBe("MU005");
    expect(await held("n3")).toEqual([0, 0, 0, 0]);
  });

  it("keeps a node's devices while work is on them", async () => {
    const id = await job();
    await transaction(db.pool, (client) => open(client, id, 1, [{ node: "n3", devices: [3] }]));
    expect(await refusal((client) => client.query("UPDATE nodes SET devices = 3 WHERE name = 'n3'"))).toBe("MU003");
    await end(id, 1);
    await db.pool.query("UPDATE nodes SET devices = 2 WHERE name = 'n3'");
    expect(await held("n3")).toEqual([0, 0]);
    await db.pool.query("UPDATE nodes SET devices = 4 WHERE name = 'n3'");
    expect(await held("n3")).toEqual([0, 0, 0, 0]);
  });

  it("lets no node be out of order without a reason and an actor", async () => {
    expect(await refusal((client) => client.query("UPDATE nodes SET health = 'cordoned', schedulable = false WHERE name = 'n3'"))).toBe("23514");
    expect(await refusal((client) => client.query("UPDATE nodes SET health = 'cordoned', health_reason = 'fan', health_actor = 'me' WHERE name = 'n3'"))).toBe(
      "23514",
    );
    expect(
      await refusal((client) =>
        client.query("UPDATE nodes SET health = 'cordoned', health_reason = 'fan', health_actor = 'me', schedulable = false WHERE name = 'n3'"),
      ),
    ).toBeUndefined();
  });
});
