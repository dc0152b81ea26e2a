import type { JobState, StopTarget } from "@muster/model";
import { isFinal, nextJobPlace, possibleActions, type JobAction } from "@muster/lifecycle";
import { settleDependencies } from "./dependencies.ts";
import { appendEvents } from "./events.ts";
import type { Client } from "./pool.ts";
import { stopAttempts } from "./stop-attempt.ts";

export interface ActionRequest {
  jobId: string;
  action: JobAction;
  reason: string;
  actor: string;
}

export type ActionResult =
  | { ok: true; state: JobState; changed: boolean }
  | { ok: false; code: "not_found" }
  | { ok: false; code: "wrong_state"; state: JobState; possible: JobAction[] };

interface Row {
  project: string;
  state: JobState;
  stop_target: StopTarget | null;
  attempt: number;
  grace: number;
}

/** What a person asks of a job, in the caller's transaction. Asking again for what is already so changes nothing. */
export async function applyJobAction(client: Client, { jobId, action, reason, actor }: ActionRequest): Promise<ActionResult> {
  const { rows } = await client.query<Row>({
    name: "lock-job-for-action",
    text: `SELECT j.project, j.state, j.stop_target, j.attempt, coalesce((s.resolved->'checkpoint'->>'grace')::float, 30) AS grace
      FROM jobs j JOIN job_specs s ON s.job = j.id WHERE j.id = $1 FOR UPDATE OF j`,
    values: [jobId],
  });
  const row = rows[0];
  if (!row) return { ok: false, code: "not_found" };
  const place = { state: row.state, stopTarget: row.stop_target };
  const next = nextJobPlace(place, action);
  if (!next) return { ok: false, code: "wrong_state", state: row.state, possible: possibleActions(place) };
  if (next.state === place.state && next.stopTarget === place.stopTarget) return { ok: true, state: row.state, changed: false };
  const again = isFinal(row.state);
  await client.query({
    name: "act-on-job",
    text: `UPDATE jobs SET state = $2, stop_target = $3, stop_reason = $4, state_since = now(), version = version + 1,
        finished_at = CASE WHEN $5 THEN now() END, due_at = NULL, not_before = CASE WHEN $6 THEN NULL ELSE not_before END,
        wait_reason = NULL, wait_since = NULL, conditions = '{}',
        failure = CASE WHEN $6 THEN NULL ELSE failure END,
        user_failures = CASE WHEN $6 THEN 0 ELSE user_failures END,
        infrastructure_failures = CASE WHEN $6 THEN 0 ELSE infrastructure_failures END,
        unknown_failures = CASE WHEN $6 THEN 0 ELSE unknown_failures END
      WHERE id = $1`,
    values: [jobId, next.state, next.stopTarget, next.state === "stopping" ? reason || `asked: ${action}` : null, isFinal(next.state), again],
  });
  if (next.state === "stopping") await stopAttempts(client, [{ job: jobId, mode: place.state === "recovering" ? "kill" : "stop", grace: row.grace }]);
  await appendEvents(client, [
    { kind: `job.${action}`, actor, project: row.project, job: jobId, attempt: row.attempt || null, data: { reason, from: row.state, to: next.state } },
  ]);
  if (isFinal(next.state)) await settleDependencies(client, [{ job: jobId, what: next.state as "cancelled" }]);
  if (again) {
    await client.query({
      name: "reopen-dependencies",
      text: "UPDATE job_dependencies SET state = 'open' WHERE on_job = $1 AND state = 'never'",
      values: [jobId],
    });
  }
  return { ok: true, state: next.state, changed: true };
}

/** "Checkpoint now": reaches the ranks of a running job by its engine. */
export async function askCheckpoint(client: Client, { jobId, reason, actor }: Omit<ActionRequest, "action">): Promise<ActionResult> {
  const { rows } = await client.query<Pick<Row, "project" | "state" | "stop_target" | "attempt">>({
    name: "lock-job-for-checkpoint",
    text: "SELECT project, state, stop_target, attempt FROM jobs WHERE id = $1 FOR UPDATE",
    values: [jobId],
  });
  const row = rows[0];
  if (!row) return { ok: false, code: "not_found" };
  if (row.state !== "running")
    return { ok: false, code: "wrong_state", state: row.state, possible: possibleActions({ state: row.state, stopTarget: row.stop_target }) };
  await client.query({
    name: "ask-checkpoint",
    text: `UPDATE workers w SET checkpoint_asked = true, todo = true FROM jobs j
      WHERE j.id = $1 AND (w.job, w.incarnation, w.attempt) = (j.id, j.incarnation, j.attempt) AND w.state = 'running'`,
    values: [jobId],
  });
  await appendEvents(client, [{ kind: "job.checkpoint_asked", actor, project: row.project, job: jobId, attempt: row.attempt, data: { reason } }]);
  return { ok: true, state: row.state, changed: true };
}
