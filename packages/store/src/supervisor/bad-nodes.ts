import type { Client } from "../pool.ts";
import type { AttemptId } from "./attempt-key.ts";

/** Seconds that work must have run on a node on probation, or that it must have been there at all, to be ready again. */
const PROVEN_BY_WORK = 600;
const PROVEN_BY_TIME = 86_400;

/** Current attempts with workers on a node that a check took out of service. */
export async function readOnBadNodes(client: Client): Promise<(AttemptId & { node: string; reason: string })[]> {
  const { rows } = await client.query<AttemptId & { node: string; reason: string }>({
    name: "read-on-bad-nodes",
    text: `SELECT DISTINCT ON (w.job) w.job, w.incarnation::text, w.attempt, n.name AS node, n.health_reason AS reason
      FROM nodes n JOIN workers w ON w.node = n.name AND NOT w.released JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (w.job, w.incarnation, w.attempt)
      WHERE n.health = 'cordoned' AND n.health_check IS NOT NULL AND j.state IN ('scheduled', 'starting', 'running') ORDER BY w.job, n.name`,
  });
  return rows;
}

/** Makes nodes ready that are on probation, or suspect by a rule, and on which work ran, or which were there, for long enough. Returns them. */
export async function endProbations(client: Client): Promise<{ name: string; pool: string; from: string }[]> {
  const { rows } = await client.query<{ name: string; pool: string; from: string }>({
    name: "end-probations",
    text: `UPDATE nodes n SET health = 'ready', health_reason = NULL, health_actor = NULL, health_check = NULL, health_since = now(), version = n.version + 1
      FROM nodes o WHERE o.name = n.name AND (n.health = 'probation' OR (n.health = 'suspect' AND n.health_check LIKE 'rule:%')) AND (n.health_since <= now() - make_interval(secs => ${PROVEN_BY_TIME}) OR EXISTS (SELECT FROM workers w
        WHERE w.node = n.name AND w.started_at >= n.health_since AND w.state IN ('running', 'exited') AND coalesce(w.exit_code, 0) = 0 AND w.signal IS NULL
          AND NOT w.released AND now() - w.started_at >= make_interval(secs => ${PROVEN_BY_WORK})))
      RETURNING n.name, n.pool, o.health AS from`,
  });
  return rows;
}
