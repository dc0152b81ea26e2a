import type { AttemptTimes } from "@muster/lifecycle";
import type { Client } from "../pool.ts";

/** Attempts that are looked at for one account: the newest. */
const LIMIT = 10_000;

/** Jobs that are looked at for the account of many. */
const JOBS_LIMIT = 20_000;
const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;
const TIMES = `${ms("coalesce(j.finished_at, now())")} AS until, ${ms("a.scheduled_at")} AS scheduled, ${ms("a.started_at")} AS up, ${ms("a.first_progress_at")} AS "firstStepAt",
        ${ms("a.last_step_at")} AS "lastStepAt", ${ms("a.ended_at")} AS ended, a.first_step AS "firstStep", a.last_step AS "lastStep",
        (SELECT coalesce(sum(cardinality(w.devices) * w.share / 1000.0), 0)::float8 FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number)) AS devices,
        CASE WHEN a.outcome IN ('failed', 'superseded') THEN coalesce(a.failure_class, 'unknown') WHEN a.outcome = 'stopped' THEN 'stopped' END AS cause`;

/** The attempts of a job in order, with when each thing happened, and when the account ends: with the job, else now. */
export async function readAttemptTimes(client: Client, job: string): Promise<{ until: number; attempts: AttemptTimes[] }> {
  const { rows } = await client.query<AttemptTimes & { until: number }>({
    name: "api-attempt-times",
    text: `SELECT ${TIMES}
      FROM attempts a JOIN jobs j ON j.id = a.job WHERE a.job = $1 ORDER BY a.incarnation DESC, a.number DESC LIMIT ${LIMIT}`,
    values: [job],
  });
  return { until: rows[0]?.until ?? 0, attempts: rows.reverse() };
}

export interface AccountFilter {
  /** Whose jobs count; null: all. */
  visible: readonly string[] | null;
  project: string | null;
  queue: string | null;
  /** Seconds back. */
  since: number;
  /** Ids of jobs that finished begin here: the scan is bounded by it. */
  fromId: string;
}

export interface AccountedJob {
  job: string;
  queue: string;
  until: number;
  attempts: AttemptTimes[];
}

const SEEN = "($1::text[] IS NULL OR j.project = ANY ($1)) AND ($2::text IS NULL OR j.project = $2) AND ($3::text IS NULL OR j.queue = $3)";

/** The jobs that ran within some time, each with all its attempts, and whether there were more. */
export async function readAccountedJobs(
  client: Client,
  { visible, project, queue, since, fromId }: AccountFilter,
): Promise<{ jobs: AccountedJob[]; partial: boolean }> {
  const { rows } = await client.query<AttemptTimes & { job: string; queue: string; until: number }>({
    name: "api-accounted-jobs",
    text: `WITH j AS (SELECT * FROM (
          SELECT id, queue, finished_at FROM jobs j WHERE finished_at IS NULL AND started_at IS NOT NULL AND ${SEEN}
          UNION ALL SELECT id, queue, finished_at FROM jobs j WHERE id >= $5 AND final IS NOT NULL AND started_at IS NOT NULL AND finished_at > now() - make_interval(secs => $4) AND ${SEEN}) j
        ORDER BY id DESC LIMIT ${JOBS_LIMIT + 1})
      SELECT j.id AS job, j.queue, ${TIMES} FROM j JOIN attempts a ON a.job = j.id ORDER BY a.job, a.incarnation, a.number`,
    values: [visible, project, queue, since, fromId],
  });
  const jobs = [...Map.groupBy(rows, (row) => row.job)].map(([job, attempts]) => ({
    job,
    queue: attempts[0]?.queue ?? "",
    until: attempts[0]?.until ?? 0,
    attempts,
  }));
  return { jobs: jobs.slice(-JOBS_LIMIT), partial: jobs.length > JOBS_LIMIT };
}

export interface PhaseTimes {
  /** `total` is all of them together. */
  phase: string;
  p50: number;
  p99: number;
  count: number;
}

/** How long recoveries took that were over within some time, by phase. */
export async function readRecoveryTimes(client: Client, { visible, project, queue, since }: Omit<AccountFilter, "fromId">): Promise<PhaseTimes[]> {
  const { rows } = await client.query<PhaseTimes>({
    name: "api-recovery-times",
    text: `WITH over AS (SELECT i.phases FROM incident_attempts i JOIN jobs j ON j.id = i.job WHERE i.done_at > now() - make_interval(secs => $4) AND i.phases <> '{}' AND ${SEEN}),
        told AS (SELECT p.key AS phase, p.value::float8 AS seconds FROM over, jsonb_each_text(over.phases) p
          UNION ALL SELECT 'total', (SELECT sum(p.value::float8) FROM jsonb_each_text(over.phases) p) FROM over)
      SELECT phase, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) AS p99, count(*)::int AS count FROM told GROUP BY phase`,
    values: [visible, project, queue, since],
  });
  return rows;
}

/** What faults cost whose recovery was over within some time, by the rule that named them, the costliest first. */
export async function readFaultCosts(
  client: Client,
  { visible, project, queue, since }: Omit<AccountFilter, "fromId">,
): Promise<{ rule: string; class: string; attempts: number; device_hours: number }[]> {
  const { rows } = await client.query<{ rule: string; class: string; attempts: number; device_hours: number }>({
    name: "api-fault-costs",
    text: `SELECT coalesce(a.cause->>'rule', 'unknown') AS rule, i.class, count(*)::int AS attempts, round((sum(i.device_seconds) / 3600)::numeric, 4)::float8 AS device_hours
      FROM incident_attempts i JOIN jobs j ON j.id = i.job JOIN attempts a ON (a.job, a.incarnation, a.number) = (i.job, i.incarnation, i.attempt)
      WHERE i.done_at > now() - make_interval(secs => $4) AND ${SEEN} GROUP BY 1, 2 ORDER BY 4 DESC, 3 DESC, 1 LIMIT 100`,
    values: [visible, project, queue, since],
  });
  return rows;
}
