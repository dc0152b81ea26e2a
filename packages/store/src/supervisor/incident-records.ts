import { randomBytes } from "node:crypto";
import { sameFault, type RecoveryTimes } from "@muster/lifecycle";
import { makeId } from "@muster/model";
import { ADVISORY_LOCKS } from "../advisory-locks.ts";
import type { Client } from "../pool.ts";
import { columns, type AttemptId } from "./attempt-key.ts";

/** Seconds within which faults below one leaf switch are one incident. */
const TOGETHER = 60;
const LINES = 40;
/** Of what was done for all jobs of one incident, after which no more is added. */
const ACTIONS_LENGTH = 2000;

export interface SeenFault {
  kind: "job_failure" | "hang" | "node_lost" | "node_health";
  severity: "info" | "warning" | "critical";
  node: string | null;
  evidence: readonly string[];
  class: string;
  rule: string;
  action: string;
  /** The attempt that it ended. */
  attempt?: AttemptId & { project: string };
}

/** Records faults as incidents, in the caller's transaction; what belongs together becomes one. Returns their ids, in order. */
export async function recordFaults(client: Client, faults: readonly SeenFault[]): Promise<string[]> {
  if (faults.length === 0) return [];
  await client.query({ name: "lock-incidents", text: "SELECT pg_advisory_xact_lock($1)", values: [ADVISORY_LOCKS.incidents] });
  const ids: string[] = [];
  for (const fault of faults) {
    const known = fault.class === "user" ? undefined : await findTogether(client, fault);
    const id = known ?? makeId("inc", Date.now(), randomBytes(10));
    ids.push(id);
    // what a job's output says is kept with its attempt, as one incident may be of several projects
    const own = fault.attempt ? [] : fault.evidence.slice(0, LINES);
    if (known === undefined) {
      await client.query({
        name: "open-fault",
        text: "INSERT INTO incidents (id, kind, severity, evidence, class, rule, action, project, job, attempt, node) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        values: [
          id,
          fault.kind,
          fault.severity,
          JSON.stringify(own),
          fault.class,
          fault.rule,
          fault.action,
          fault.attempt?.project ?? null,
          fault.attempt?.job ?? null,
          fault.attempt?.attempt ?? null,
          fault.node,
        ],
      });
    } else {
      await client.query({
        name: "join-fault",
        text: `UPDATE incidents SET closed_at = NULL, evidence = CASE WHEN jsonb_array_length(evidence) < ${LINES} THEN evidence || $2::jsonb ELSE evidence END,
          action = CASE WHEN position($4 IN coalesce(action, '')) > 0 OR length(action) > ${ACTIONS_LENGTH} THEN action ELSE concat_ws('; ', action, $4::text) END,
          severity = CASE WHEN 'critical' IN (severity, $3::text) THEN 'critical' WHEN 'warning' IN (severity, $3::text) THEN 'warning' ELSE 'info' END WHERE id = $1`,
        values: [id, JSON.stringify(own), fault.severity, fault.action],
      });
    }
    if (fault.attempt) await addAttempt(client, id, fault, fault.attempt);
  }
  return ids;
}

async function findTogether(client: Client, { node }: SeenFault): Promise<string | undefined> {
  if (node === null) return undefined;
  const { rows } = await client.query<{ id: string | null; node: string; leaf: string | null }>({
    name: "recent-incidents",
    text: `SELECT i.id, n.name AS node, CASE WHEN cardinality(n.fabric) >= l.depth THEN array_to_string(n.fabric[1:l.depth], '/') END AS leaf
      FROM (SELECT NULL AS id, $1::text AS node UNION ALL
          SELECT id, node FROM incidents WHERE opened_at > now() - make_interval(secs => ${TOGETHER}) AND node IS NOT NULL AND class <> 'user') i
        JOIN nodes n ON n.name = i.node JOIN pools p ON p.name = n.pool,
        LATERAL (SELECT array_position(coalesce(nullif(ARRAY (SELECT jsonb_array_elements_text(p.spec->'fabric_levels')), '{}'), '{zone,spine,leaf,domain}'), 'leaf') AS depth) l
      ORDER BY i.id`,
    values: [node],
  });
  const here = rows.find((row) => row.id === null);
  return here && (rows.find((row) => row.id !== null && sameFault(here, row))?.id ?? undefined);
}

async function addAttempt(client: Client, incident: string, fault: SeenFault, attempt: AttemptId & { project: string }): Promise<void> {
  await client.query({
    name: "add-incident-attempt",
    text: `INSERT INTO incident_attempts (incident, job, incarnation, attempt, project, class, evidence, devices, began_at)
      SELECT $1, a.job, a.incarnation, a.number, $5, $6, $7, w.devices,
        least(now(), CASE WHEN $8 THEN coalesce(a.last_step_at, a.started_at) ELSE coalesce(w.silent, w.failed, a.stopping_at) END, now())
      FROM attempts a, LATERAL (SELECT coalesce(sum(cardinality(w.devices) * w.share / 1000.0), 0) AS devices, min(w.ended_at) FILTER (WHERE w.desired = 'run') AS failed,
          min(s.last_seen) FILTER (WHERE n.lost_since IS NOT NULL) AS silent
        FROM workers w LEFT JOIN nodes n ON n.name = w.node LEFT JOIN shards s ON s.name = w.shard WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number)) w
      WHERE (a.job, a.incarnation, a.number) = ($2, $3::bigint, $4::int) ON CONFLICT DO NOTHING`,
    values: [
      incident,
      attempt.job,
      attempt.incarnation,
      attempt.attempt,
      attempt.project,
      fault.class,
      JSON.stringify(fault.evidence.slice(0, LINES)),
      fault.kind === "hang",
    ],
  });
}

export type OpenRecovery = AttemptId & { incident: string; class: string; devices: number; times: RecoveryTimes };

/** Attempts of incidents whose jobs aren't back yet, with what is known of their recovery. */
export async function readOpenRecoveries(client: Client): Promise<OpenRecovery[]> {
  const ms = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;
  const { rows } = await client.query<
    AttemptId &
      Omit<RecoveryTimes, "next"> & {
        incident: string;
        class: string;
        devices: number;
        scheduled: number | null;
        up: number | null;
        first_step_at: number | null;
        next_ended: number | null;
        lost_steps: number;
      }
  >({
    name: "read-open-recoveries",
    text: `SELECT i.incident, i.job, i.incarnation::text, i.attempt, i.class, i.devices, ${ms("i.began_at")} AS began, ${ms("coalesce(a.stopping_at, a.ended_at, now())")} AS seen,
        ${ms("w.dead")} AS dead, ${ms("coalesce(a.ended_at, now())")} AS ended, ${ms("n.scheduled_at")} AS scheduled, ${ms("n.started_at")} AS up,
        ${ms("n.first_progress_at")} AS first_step_at, ${ms("n.ended_at")} AS next_ended, ${ms("j.finished_at")} AS finished,
        EXISTS (SELECT FROM progress p WHERE p.job = i.job) AS reports, greatest(0, coalesce(a.last_step - n.first_step + 1, 0))::float8 AS lost_steps,
        coalesce(extract(epoch FROM a.last_step_at - a.first_progress_at) / nullif(a.last_step - a.first_step, 0), 0)::float8 AS pace
      FROM incident_attempts i JOIN jobs j ON j.id = i.job JOIN attempts a ON (a.job, a.incarnation, a.number) = (i.job, i.incarnation, i.attempt)
        LEFT JOIN LATERAL (SELECT * FROM attempts n WHERE n.job = i.job AND (n.incarnation, n.number) > (i.incarnation, i.attempt) ORDER BY n.incarnation, n.number LIMIT 1) n ON true
        LEFT JOIN LATERAL (SELECT CASE WHEN bool_and(w.state IN ('exited', 'lost')) THEN max(w.ended_at) END AS dead FROM workers w
          WHERE (w.job, w.incarnation, w.attempt) = (i.job, i.incarnation, i.attempt)) w ON true
      WHERE i.done_at IS NULL`,
  });
  return rows.map(
    ({
      incident,
      job,
      incarnation,
      attempt,
      class: of,
      devices,
      scheduled,
      up,
      first_step_at: firstStep,
      next_ended: ended,
      lost_steps: lostSteps,
      ...times
    }) => ({
      incident,
      job,
      incarnation,
      attempt,
      class: of,
      devices,
      // a worker on a lost node may be confirmed dead long after its attempt was gone on without
      times: {
        ...times,
        dead: times.dead === null || times.dead > times.ended ? null : times.dead,
        lostSteps,
        next: scheduled === null ? null : { scheduled, up, firstStep, ended },
      },
    }),
  );
}

export interface RecoveryRecord extends AttemptId {
  phases: Record<string, number>;
  deviceSeconds: number;
  done: boolean;
}

/** Writes what recoveries came to, sums them up in their incidents, and closes those of which nothing is open. Returns the closed. */
export async function recordRecoveries(
  client: Client,
  records: readonly RecoveryRecord[],
): Promise<{ id: string; kind: string; project: string | null; job: string | null; node: string | null }[]> {
  if (records.length > 0) {
    await client.query({
      name: "record-recoveries",
      text: `WITH changed AS (
          UPDATE incident_attempts i SET phases = r.phases, device_seconds = r.device_seconds, done_at = CASE WHEN r.done THEN now() END
          FROM unnest($1::text[], $2::bigint[], $3::int[], $4::jsonb[], $5::float[], $6::bool[]) AS r(job, incarnation, attempt, phases, device_seconds, done)
          WHERE (i.job, i.incarnation, i.attempt) = (r.job, r.incarnation, r.attempt) AND i.done_at IS NULL RETURNING i.class, r.done, r.device_seconds)
        INSERT INTO waste AS w (class, incidents, device_seconds) SELECT class, count(*), sum(device_seconds) FROM changed WHERE done GROUP BY class
        ON CONFLICT (class) DO UPDATE SET incidents = w.incidents + excluded.incidents, device_seconds = w.device_seconds + excluded.device_seconds`,
      values: [...columns(records), records.map((one) => JSON.stringify(one.phases)), records.map((one) => one.deviceSeconds), records.map((one) => one.done)],
    });
    await client.query({
      name: "sum-up-incidents",
      text: `UPDATE incidents i SET cost = jsonb_build_object('device_seconds', s.device_seconds, 'attempts', s.attempts, 'phases', s.phases)
        FROM (SELECT ia.incident, round(sum(ia.device_seconds)::numeric, 3) AS device_seconds, count(*) AS attempts, (SELECT coalesce(jsonb_object_agg(key, longest), '{}') FROM (
              SELECT p.key, max(p.value::float8) AS longest FROM incident_attempts b, jsonb_each_text(b.phases) p WHERE b.incident = ia.incident GROUP BY p.key) l) AS phases
          FROM incident_attempts ia WHERE ia.incident IN (SELECT c.incident FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
            JOIN incident_attempts c USING (job, incarnation, attempt)) GROUP BY ia.incident) s
        WHERE i.id = s.incident`,
      values: columns(records),
    });
  }
  const { rows } = await client.query<{ id: string; kind: string; project: string | null; job: string | null; node: string | null }>({
    name: "close-done-incidents",
    text: `UPDATE incidents i SET closed_at = now() WHERE closed_at IS NULL AND kind IN ('job_failure', 'hang', 'node_lost', 'node_health')
        AND NOT EXISTS (SELECT FROM incident_attempts p WHERE p.incident = i.id AND p.done_at IS NULL)
        AND NOT EXISTS (SELECT FROM nodes n WHERE n.name = i.node AND ((i.kind = 'node_lost' AND n.lost_since IS NOT NULL)
          OR (i.kind = 'node_health' AND n.health NOT IN ('ready', 'probation')))) RETURNING id, kind, project, job, node`,
  });
  return rows;
}

/** Device-seconds lost to incidents that are over, by class, since the cluster began. */
export async function readWaste(client: Client): Promise<{ class: string; incidents: number; device_seconds: number }[]> {
  const { rows } = await client.query<{ class: string; incidents: number; device_seconds: number }>({
    name: "read-waste",
    text: "SELECT class, incidents::float8 AS incidents, device_seconds FROM waste ORDER BY class",
  });
  return rows;
}
