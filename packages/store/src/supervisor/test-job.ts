import { poolSpec } from "@muster/model";
import { ensureShard } from "../api/nodes.ts";
import { putPool } from "../api/pools.ts";
import { ensureCluster } from "../cluster.ts";
import { transaction, type Pool } from "../pool.ts";

/* For tests: a pool of shard `s`, and a job of one worker of eight devices that runs there. */

export async function putTestPool(pool: Pool, name: string): Promise<string> {
  const { incarnation } = await ensureCluster(pool);
  await pool.query("INSERT INTO projects (name) VALUES ('p')");
  await pool.query("INSERT INTO queues (name, projects) VALUES ('q', '{p}')");
  await putPool(pool, poolSpec.parse({ name, vendor: "nvidia", accelerator: name }));
  await ensureShard(pool, "s", "local");
  await pool.query("UPDATE shards SET reachable = true");
  return incarnation;
}

export async function putRunningJob(pool: Pool, job: string, incarnation: string, node: string): Promise<void> {
  await pool.query("UPDATE nodes SET reachable = true");
  await pool.query(
    `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, incarnation, submitted_at, attempt)
     VALUES ($1, 'p', 'q', 'j', 'me', 0, 'normal', true, 1, 8, 'running', $2, now(), 1)`,
    [job, incarnation],
  );
  await pool.query("INSERT INTO job_specs (job, submitted, resolved) VALUES ($1, '{}', '{}')", [job]);
  await transaction(pool, async (client) => {
    await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, 1, 1, 0)", [job, incarnation]);
    await client.query(
      `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory, state)
       VALUES ($1, $2, 1, 'worker/0', 'worker', 0, 0, 1, $3, 's', '{0,1,2,3,4,5,6,7}', 1000, 1000, 10, 'running')`,
      [job, incarnation, node],
    );
  });
}
