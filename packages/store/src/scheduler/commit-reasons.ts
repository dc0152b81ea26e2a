import type { WaitReason } from "@muster/model";
import type { Lease } from "../leases.ts";
import type { Client } from "../pool.ts";

export interface NewReason {
  job: string;
  reason: WaitReason;
  /** Milliseconds since the epoch. */
  since: number;
}

/** Says of waiting jobs why they wait. No new version of the job, so that nobody's update of it fails for this. */
export async function commitReasons(client: Client, lease: Lease, holder: string, reasons: readonly NewReason[]): Promise<void> {
  await client.query({
    name: "scheduler-reasons",
    text: `UPDATE jobs j SET wait_reason = r.reason, wait_since = to_timestamp(r.since / 1000)
      FROM unnest($4::text[], $5::text[], $6::float8[]) AS r(job, reason, since)
      WHERE j.id = r.job AND j.state IN ('queued', 'held') AND j.wait_reason IS DISTINCT FROM r.reason
        AND EXISTS (SELECT FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3)`,
    values: [lease.name, holder, lease.epoch, reasons.map((one) => one.job), reasons.map((one) => one.reason), reasons.map((one) => one.since)],
  });
}
