import { transaction, type Pool } from "@muster/store";

/** Opens an attempt of a job on a node, as the scheduler would, and has it run. @returns its incarnation, as text */
export async function startAttempt(pool: Pool, job: string, node: string, attempt = 1): Promise<string> {
  return transaction(pool, async (client) => {
    const { rows } = await client.query<{ incarnation: string }>(
      "UPDATE jobs SET attempt = $2, state = 'running', started_at = now(), wait_reason = NULL, variant = 0 WHERE id = $1 RETURNING incarnation::text",
      [job, attempt],
    );
    const incarnation = rows[0]?.incarnation as string;
    await client.query("INSERT INTO attempts (job, incarnation, number, gang, variant) VALUES ($1, $2, $3, 1, 0)", [job, incarnation, attempt]);
    await client.query(
      `INSERT INTO workers (job, incarnation, attempt, worker, role, node_rank, first_rank, ranks, node, shard, devices, share, cpus, memory)
       VALUES ($1, $2, $3, 'worker-0', 'worker', 0, 0, 1, $4, 'h800', '{0}', 100, 1000, 1024)`,
      [job, incarnation, attempt, node],
    );
    await client.query("UPDATE attempts SET state = 'running', started_at = now() WHERE job = $1 AND number = $2", [job, attempt]);
    await client.query("UPDATE workers SET state = 'running', started_at = now() WHERE job = $1 AND attempt = $2", [job, attempt]);
    return incarnation;
  });
}

/** Ends an attempt and gives its devices back. */
export async function endAttempt(pool: Pool, job: string, attempt = 1): Promise<void> {
  await pool.query("UPDATE workers SET state = 'exited', exit_code = 0, ended_at = now(), released = true WHERE job = $1 AND attempt = $2", [job, attempt]);
  await pool.query("UPDATE attempts SET state = 'ended', outcome = 'succeeded', ended_at = now() WHERE job = $1 AND number = $2", [job, attempt]);
}
