import type { AttemptTimes } from "@muster/lifecycle";
import type { Client } from "../pool.ts";

/** Attempts that are looked at for one account: the newest. */
const LIMIT = 10_000;

/** The attempts of a job in order, with when each thing happened, and when the account ends: with the job, else now. */
export async function readAttemptTimes(client: Client, job: string): Promise<{ until: number; attempts: AttemptTimes[] }> {
  const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;
  const { rows } = await client.query<AttemptTimes & { until: number }>({
    name: "api-attempt-times",
    text: `SELECT ${ms("coalesce(j.finished_at, now())")} AS until, ${ms("a.scheduled_at")} AS scheduled, ${ms("a.started_at")} AS up, ${ms("a.first_progress_at")} AS "firstStepAt",
        ${ms("a.last_step_at")} AS "lastStepAt", ${ms("a.ended_at")} AS ended, a.first_step AS "firstStep", a.last_step AS "lastStep",
        (SELECT coalesce(sum(cardinality(w.devices) * w.share / 1000.0), 0)::float8 FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number)) AS devices,
        CASE WHEN a.outcome IN ('failed', 'superseded') THEN coalesce(a.failure_class, 'unknown') WHEN a.outcome = 'stopped' THEN 'stopped' END AS cause
      FROM attempts a JOIN jobs j ON j.id = a.job WHERE a.job = $1 ORDER BY a.incarnation DESC, a.number DESC LIMIT ${LIMIT}`,
    values: [job],
  });
  return { until: rows[0]?.until ?? 0, attempts: rows.reverse() };
}
