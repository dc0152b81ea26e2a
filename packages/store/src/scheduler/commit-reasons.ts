import type { WaitReason } from "@muster/model";
import { checkLease, type Lease } from "../leases.ts";
import { transaction, type Pool } from "../pool.ts";

export interface NewReason {
  job: string;
  reason: WaitReason;
  /** Milliseconds since the epoch. */
  since: number;
}

/** Says of waiting jobs why they wait. No new version of the job, so that nobody's update of it fails for this. */
export async function commitReasons(pool: Pool, lease: Lease, holder: string, reasons: readonly NewReason[]): Promise<void> {
  await transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    await client.query({
      name: "scheduler-reasons",
      text: `UPDATE jobs j SET wait_reason = r.reason, wait_since = to_timestamp(r.since / 1000)
        FROM unnest($1::text[], $2::text[], $3::float8[]) AS r(job, reason, since)
        WHERE j.id = r.job AND j.state IN ('queued', 'held') AND j.wait_reason IS DISTINCT FROM r.reason`,
      values: [reasons.map((one) => one.job), reasons.map((one) => one.reason), reasons.map((one) => one.since)],
    });
  });
}
