import { leaseHolder, readCluster, SIGNATURE_HEADER, signInternal, type Pool } from "@muster/store";

/** Milliseconds that the leader may take. */
const TIMEOUT = 2000;

/** Asks the scheduler's leader; undefined where there is none, or it does not answer. */
export async function askScheduler(pool: Pool, path: "/internal/explain" | "/internal/plan" | "/internal/state", question: object): Promise<unknown> {
  const leader = await leaseHolder(pool, "scheduler");
  if (!leader?.address) return undefined;
  const { secret } = await readCluster(pool);
  const body = JSON.stringify(question);
  try {
    const response = await fetch(new URL(path, leader.address), {
      method: "POST",
      headers: { "content-type": "application/json", [SIGNATURE_HEADER]: signInternal(secret, path, body, Date.now()) },
      body,
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
