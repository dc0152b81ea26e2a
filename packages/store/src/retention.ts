import { idFloor } from "@muster/model";
import { transaction, sqlState, type Client, type Pool } from "./pool.ts";

/*
 * Partitions by month: jobs and what hangs on them by id (which sorts by the time of submission), events by time. A month that
 * is over and done is dropped whole; one in which a job still lives loses its finished jobs by rows.
 */

const BY_ID = [
  { table: "jobs", options: "WITH (fillfactor = 70)" },
  { table: "job_specs", options: "" },
  { table: "attempts", options: "WITH (fillfactor = 70)" },
  { table: "workers", options: "WITH (fillfactor = 60)" },
] as const;

export interface Retention {
  /** Seconds that finished jobs are kept. */
  jobs: number;
  /** Seconds that events are kept. */
  events: number;
}

export const DEFAULT_RETENTION: Retention = { jobs: 180 * 86_400, events: 90 * 86_400 };

interface Month {
  name: string;
  from: number;
  to: number;
}

function monthOf(now: number, offset: number): Month {
  const date = new Date(now);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + offset];
  const from = Date.UTC(year, month);
  return { name: new Date(from).toISOString().slice(0, 7).replace("-", "_"), from, to: Date.UTC(year, month + 1) };
}

/**
 * Makes the partitions of this month and the next. Rows that came before their partition stay in the default one.
 * @param now milliseconds since 1970
 */
export async function ensurePartitions(pool: Pool, now: number): Promise<void> {
  for (const month of [monthOf(now, 0), monthOf(now, 1)]) {
    for (const { table, options } of BY_ID) {
      await createPartition(
        pool,
        `${table}_${month.name}`,
        `PARTITION OF ${table} FOR VALUES FROM ('${idFloor("job", month.from)}') TO ('${idFloor("job", month.to)}') ${options}`,
      );
    }
    await createPartition(
      pool,
      `events_${month.name}`,
      `PARTITION OF events FOR VALUES FROM ('${new Date(month.from).toISOString()}') TO ('${new Date(month.to).toISOString()}')`,
    );
  }
  await pool.query(`SELECT count_usage_of(inhrelid) FROM pg_inherits WHERE inhparent = 'workers'::regclass
    AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = inhrelid AND tgname = 'workers_hold')`);
}

async function createPartition(pool: Pool, name: string, definition: string): Promise<void> {
  const { rows } = await pool.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [name]);
  if (rows[0]?.there) return;
  try {
    await pool.query(`CREATE TABLE ${name} ${definition}`);
  } catch (error) {
    // another service was faster, or rows of that month are already in the default partition
    if (!["42P07", "23514", "42710"].includes(sqlState(error) ?? "")) throw error;
  }
}

/** Drops what is older than asked. @returns the names of dropped partitions and the number of jobs removed one by one */
export async function retain(pool: Pool, now: number, retention: Retention = DEFAULT_RETENTION): Promise<{ dropped: string[]; removed: number }> {
  const dropped: string[] = [];
  const { rows } = await pool.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent IN ('jobs'::regclass, 'events'::regclass)",
  );
  for (const { name } of rows) {
    const part = /^(jobs|events)_(\d{4})_(\d{2})$/.exec(name);
    if (!part) continue;
    const end = Date.UTC(Number(part[2]), Number(part[3]));
    if (part[1] === "events" && end < now - retention.events * 1000) {
      await pool.query(`DROP TABLE ${name}`);
      dropped.push(name);
    } else if (
      part[1] === "jobs" &&
      end < now - retention.jobs * 1000 &&
      (await dropMonth(pool, name.slice("jobs_".length), new Date(now - retention.jobs * 1000)))
    ) {
      dropped.push(name);
    }
  }
  let removed = 0;
  for (let batch = -1; batch !== 0; removed += batch) batch = await removeFinished(pool, new Date(now - retention.jobs * 1000));
  await pool.query("DELETE FROM idempotency_keys WHERE created_at < now() - interval '2 days'");
  await pool.query("DELETE FROM shard_gaps WHERE ended < now() - interval '30 days'");
  return { dropped, removed };
}

/** A month whose jobs have all finished before the limit goes as a whole. */
async function dropMonth(pool: Pool, month: string, before: Date): Promise<boolean> {
  return transaction(pool, async (client) => {
    await client.query(`LOCK TABLE jobs_${month} IN SHARE MODE`);
    const { rows } = await client.query<{ kept: boolean; low: string | null; high: string | null }>(
      `SELECT coalesce(bool_or(finished_at IS NULL OR finished_at >= $1), false) AS kept, min(id) AS low, max(id) AS high FROM jobs_${month}`,
      [before],
    );
    const row = rows[0];
    if (!row || row.kept) return false;
    // no trigger sees a table go
    await client.query(
      `INSERT INTO finished_jobs SELECT project, queue, submitter, priority_class, state, -count(*), -sum(devices) FROM jobs_${month} GROUP BY 1, 2, 3, 4, 5`,
    );
    if (row.low !== null && row.high !== null) await removeSatellites(client, "BETWEEN $1 AND $2", [row.low, row.high]);
    for (const table of ["workers", "attempts", "job_specs", "jobs"]) {
      await client.query(`ALTER TABLE ${table} DETACH PARTITION ${table}_${month}`);
      await client.query(`DROP TABLE ${table}_${month}`);
    }
    return true;
  });
}

async function removeFinished(pool: Pool, before: Date): Promise<number> {
  return transaction(pool, async (client) => {
    await client.query("SELECT set_config('muster.retention', 'on', true)");
    const { rows } = await client.query<{ id: string }>(
      "SELECT id FROM jobs WHERE finished_at < $1 AND id < $2 ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED",
      [before, idFloor("job", before.getTime())],
    );
    if (rows.length === 0) return 0;
    const ids = rows.map((row) => row.id);
    await removeSatellites(client, "= ANY ($1)", [ids]);
    for (const [table, column] of [
      ["workers", "job"],
      ["attempts", "job"],
      ["job_specs", "job"],
      ["jobs", "id"],
    ] as const) {
      await client.query(`DELETE FROM ${table} WHERE ${column} = ANY ($1)`, [ids]);
    }
    return ids.length;
  });
}

async function removeSatellites(client: Client, condition: string, values: unknown[]): Promise<void> {
  for (const table of ["progress", "step_times", "checkpoints", "job_dependencies"]) await client.query(`DELETE FROM ${table} WHERE job ${condition}`, values);
}

/** Adds up the rows in which ends and removals of jobs are counted. */
export async function addUpFinished(pool: Pool): Promise<void> {
  await pool.query(`WITH gone AS (DELETE FROM finished_jobs RETURNING *)
    INSERT INTO finished_jobs SELECT project, queue, submitter, priority_class, state, sum(jobs), sum(devices) FROM gone
      GROUP BY 1, 2, 3, 4, 5 HAVING sum(jobs) <> 0`);
}
