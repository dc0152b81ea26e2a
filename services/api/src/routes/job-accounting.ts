import { accountFor, type Accounting } from "@muster/lifecycle";
import { readAttemptTimes, type Client } from "@muster/store";

/** What a job's time went into; null before it has started. */
export async function accountOf(client: Client, job: string): Promise<Accounting | null> {
  const { until, attempts } = await readAttemptTimes(client, job);
  return accountFor(attempts, until);
}
