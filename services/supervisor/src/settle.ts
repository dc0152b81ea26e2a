import { readUnsettled, transaction, type Pool } from "@muster/store";
import { judgeAttempts, type Backoff } from "./judge.ts";

const BATCH = 200;

/** Judges what no observation brings up: stopped before it was started, time over, a window that has passed. */
export async function settle(pool: Pool): Promise<{ settled: number; backoffs: Backoff[] }> {
  const ids = await readUnsettled(pool, BATCH);
  const backoffs = ids.length > 0 ? await transaction(pool, (client) => judgeAttempts(client, ids)) : [];
  return { settled: ids.length, backoffs };
}
