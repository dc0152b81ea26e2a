import type { Client } from "./pool.ts";
import { appendEvents } from "./events.ts";

/** What became of a job that others wait for. */
export interface Outcome {
  job: string;
  what: "started" | "succeeded" | "failed" | "cancelled";
}

/** Settles the open dependencies on these jobs, in the caller's transaction; the feed then names the jobs that waited. */
export async function settleDependencies(client: Client, outcomes: readonly Outcome[]): Promise<void> {
  if (outcomes.length === 0) return;
  const { rows } = await client.query<{ job: string; project: string; met: boolean }>({
    name: "settle-dependencies",
    text: `WITH settled AS (
        UPDATE job_dependencies d SET state = CASE
            WHEN d.condition = o.what OR (d.condition = 'finished' AND o.what <> 'started') OR (d.condition = 'started' AND o.what = 'succeeded') THEN 'met'
            ELSE 'never' END
          FROM unnest($1::text[], $2::text[]) AS o(job, what)
          WHERE d.on_job = o.job AND d.state = 'open' AND (o.what <> 'started' OR d.condition = 'started')
          RETURNING d.job, d.state
      ), counted AS (
        SELECT job, count(*) FILTER (WHERE state = 'met')::int AS met FROM settled GROUP BY job
      )
      UPDATE jobs j SET unmet_dependencies = j.unmet_dependencies - c.met, version = j.version + 1 FROM counted c WHERE j.id = c.job
      RETURNING j.id AS job, j.project, c.met > 0 AS met`,
    values: [outcomes.map((one) => one.job), outcomes.map((one) => one.what)],
  });
  await appendEvents(
    client,
    rows.map((row) => ({ kind: row.met ? "job.dependency_met" : "job.dependency_never", actor: "muster", project: row.project, job: row.job })),
  );
}
