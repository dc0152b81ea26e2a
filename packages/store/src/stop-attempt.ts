import type { Client } from "./pool.ts";

export interface StopOrder {
  job: string;
  mode: "stop" | "kill";
  /** Seconds. */
  grace: number;
  /** What its processes are doing is collected before they are killed. */
  inspect?: boolean;
}

/**
 * Turns the current attempts of these jobs towards their end, in the caller's transaction (which has set the jobs' state).
 * A stop may become a kill, never the other way. Workers that no engine was told of end here and now.
 */
export async function stopAttempts(client: Client, orders: readonly StopOrder[]): Promise<void> {
  if (orders.length === 0) return;
  const values = [
    orders.map((order) => order.job),
    orders.map((order) => order.mode),
    orders.map((order) => Math.ceil(order.grace)),
    orders.map((order) => order.inspect ?? false),
  ];
  await client.query({
    name: "stop-attempts",
    text: `UPDATE attempts a SET state = 'stopping', stopping_at = coalesce(a.stopping_at, now())
      FROM unnest($1::text[]) AS o(job) JOIN jobs j ON j.id = o.job
      WHERE (a.job, a.incarnation, a.number) = (j.id, j.incarnation, j.attempt) AND a.state NOT IN ('stopping', 'ended')`,
    values: [values[0]],
  });
  await client.query({
    name: "stop-workers",
    text: `UPDATE workers w SET
        desired = CASE WHEN w.desired = 'kill' OR o.mode = 'kill' THEN 'kill' ELSE 'stop' END,
        grace = CASE WHEN w.desired = 'run' THEN o.grace ELSE least(w.grace, o.grace) END,
        inspect = o.inspect,
        todo = w.state <> 'pending',
        state = CASE WHEN w.state = 'pending' THEN 'lost' ELSE w.state END,
        reason = CASE WHEN w.state = 'pending' THEN 'never started' ELSE w.reason END,
        ended_at = CASE WHEN w.state = 'pending' THEN now() ELSE w.ended_at END
      FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[]) AS o(job, mode, grace, inspect) JOIN jobs j ON j.id = o.job
      WHERE (w.job, w.incarnation, w.attempt) = (j.id, j.incarnation, j.attempt) AND w.state NOT IN ('exited', 'lost')
        AND (w.desired = 'run' OR (w.desired = 'stop' AND o.mode = 'kill'))`,
    values,
  });
}
