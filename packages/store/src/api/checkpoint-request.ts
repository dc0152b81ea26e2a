import type { JobState } from "@muster/model";
import { possibleActions } from "@muster/lifecycle";
import { appendEvents } from "../events.ts";
import type { Client } from "../pool.ts";

/** Stands among a job's conditions until its engines were told. */
export const CHECKPOINT_REQUESTED = "checkpoint_requested";

export type CheckpointRequest = { ok: true } | { ok: false; state: JobState; possible: string[] };

/** Asks a running job for a checkpoint, in the caller's transaction. Asking again before it was told changes nothing. */
export async function requestCheckpoint(client: Client, job: string, actor: string, reason: string): Promise<CheckpointRequest> {
  const { rows } = await client.query<{ project: string; state: JobState; stop_target: null; attempt: number; conditions: string[] }>({
    name: "api-lock-for-checkpoint",
    text: "SELECT project, state, stop_target, attempt, conditions FROM jobs WHERE id = $1 FOR NO KEY UPDATE",
    values: [job],
  });
  const row = rows[0];
  if (!row || row.state !== "running") return { ok: false, state: row?.state ?? "cancelled", possible: row ? possibleActions({ state: row.state, stopTarget: row.stop_target }) : [] };
  if (row.conditions.includes(CHECKPOINT_REQUESTED)) return { ok: true };
  await client.query({ name: "api-request-checkpoint", text: "UPDATE jobs SET conditions = conditions || $2::text WHERE id = $1", values: [job, CHECKPOINT_REQUESTED] });
  await appendEvents(client, [{ kind: "job.checkpoint", actor, project: row.project, job, attempt: row.attempt, data: { reason } }]);
  return { ok: true };
}
