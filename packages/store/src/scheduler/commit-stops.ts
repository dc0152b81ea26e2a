import { nextJobPlace } from "@muster/lifecycle";
import type { JobState, StopTarget } from "@muster/model";
import { appendEvents } from "../events.ts";
import { checkLease, type Lease } from "../leases.ts";
import { transaction, type Pool } from "../pool.ts";
import { stopAttempts } from "../stop-attempt.ts";

/** A running job gives its places to another, or gets another size. */
export interface SchedulerStop {
  job: string;
  event: "preempted" | "resized";
  cause: { by: string; rule: string; for: string; message: string };
  /** Seconds. */
  grace: number;
}

/** @returns jobs that are on their way to waiting again, by this or by something earlier */
export async function commitStops(pool: Pool, lease: Lease, holder: string, stops: readonly SchedulerStop[]): Promise<Set<string>> {
  return transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    const { rows } = await client.query<{ id: string; project: string; queue: string; state: JobState; stop_target: StopTarget | null; attempt: number }>({
      name: "scheduler-lock-victims",
      text: "SELECT id, project, queue, state, stop_target, attempt FROM jobs WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE",
      values: [stops.map((stop) => stop.job)],
    });
    const found = new Map(rows.map((row) => [row.id, row]));
    const done = new Set<string>();
    const changes = stops.flatMap((stop) => {
      const row = found.get(stop.job);
      const next = row && nextJobPlace({ state: row.state, stopTarget: row.stop_target }, stop.event);
      if (!row || !next) return [];
      done.add(stop.job);
      return next.state === row.state && next.stopTarget === row.stop_target ? [] : [{ stop, row, next }];
    });
    if (changes.length === 0) return done;
    await client.query({
      name: "scheduler-stop-jobs",
      text: `UPDATE jobs j SET state = s.state, stop_target = s.target, stop_reason = s.reason, state_since = now(), due_at = NULL, version = j.version + 1
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s(id, state, target, reason) WHERE j.id = s.id`,
      values: [
        changes.map((change) => change.row.id),
        changes.map((change) => change.next.state),
        changes.map((change) => change.next.stopTarget),
        changes.map((change) => `${change.stop.event}: ${change.stop.cause.message}`),
      ],
    });
    await stopAttempts(
      client,
      changes.map((change) => ({ job: change.row.id, mode: "stop" as const, grace: change.stop.grace })),
    );
    await appendEvents(
      client,
      changes.map(({ stop, row, next }) => ({
        kind: `job.${stop.event}`,
        actor: "scheduler",
        project: row.project,
        job: row.id,
        attempt: row.attempt,
        queue: row.queue,
        data: { from: row.state, to: next.state, cause: stop.cause },
      })),
    );
    return done;
  });
}
