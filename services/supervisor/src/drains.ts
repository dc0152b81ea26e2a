import { nextJobPlace } from "@muster/lifecycle";
import type { JobState, StopTarget } from "@muster/model";
import { appendEvents, stopAttempts, transaction, type Pool } from "@muster/store";

interface DrainingJob {
  job: string;
  project: string;
  state: JobState;
  stop_target: StopTarget | null;
  attempt: number;
  grace: number;
  node: string;
  reason: string;
  now: boolean;
}

/**
 * Empties draining nodes: preemptible jobs checkpoint and queue again at once, others when the deadline has come. A node that
 * is empty is cordoned.
 */
export async function drainNodes(pool: Pool): Promise<boolean> {
  return transaction(pool, async (client) => {
    const { rows } = await client.query<DrainingJob>({
      name: "read-draining-jobs",
      text: `SELECT DISTINCT ON (j.id) j.id AS job, j.project, j.state, j.stop_target, j.attempt, coalesce((s.resolved->'checkpoint'->>'grace')::float, 30) AS grace,
          n.name AS node, n.health_reason AS reason, j.preemptible OR n.drain_deadline <= now() AS now
        FROM nodes n JOIN workers w ON w.node = n.name AND NOT w.released JOIN jobs j ON j.id = w.job AND (j.incarnation, j.attempt) = (w.incarnation, w.attempt)
          JOIN job_specs s ON s.job = j.id
        WHERE n.health = 'draining' AND j.state IN ('scheduled', 'starting', 'running')
        ORDER BY j.id`,
    });
    const due = rows.filter((row) => row.now);
    for (const row of due) {
      const next = nextJobPlace({ state: row.state, stopTarget: row.stop_target }, "drained");
      if (!next || next.state === row.state) continue;
      const { rowCount } = await client.query({
        name: "drain-job",
        text: "UPDATE jobs SET state = $2, stop_target = $3, stop_reason = $4, state_since = now(), due_at = NULL, version = version + 1 WHERE id = $1 AND state = $5",
        values: [row.job, next.state, next.stopTarget, `drained: ${row.reason}`, row.state],
      });
      if (rowCount === 0) continue;
      await stopAttempts(client, [{ job: row.job, mode: "stop", grace: row.grace }]);
      await appendEvents(client, [
        { kind: "job.drained", actor: "supervisor", project: row.project, job: row.job, attempt: row.attempt, node: row.node, data: { reason: row.reason } },
      ]);
    }
    const { rows: empty } = await client.query<{ name: string; pool: string; reason: string }>({
      name: "finish-drains",
      text: `UPDATE nodes n SET health = 'cordoned', schedulable = false, drain_deadline = NULL, health_since = now(), version = version + 1
        WHERE health = 'draining' AND NOT EXISTS (SELECT FROM workers w WHERE w.node = n.name AND NOT w.released) RETURNING name, pool, health_reason AS reason`,
    });
    await appendEvents(
      client,
      empty.map(({ name, pool: of, reason }) => ({
        kind: "node.drained",
        actor: "supervisor",
        node: name,
        pool: of,
        data: { reason, from: "draining", to: "cordoned" },
      })),
    );
    return due.length > 0 || empty.length > 0;
  });
}
