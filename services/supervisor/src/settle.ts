import { readUnsettled, transaction, type Pool } from "@muster/store";
import { judgeAttempts, LOOK_AGAIN, type JudgedAttempts } from "./judge.ts";

const BATCH = 200;

/**
 * Judges what no observation brings up: stopped before it was started, time over, a window that has passed.
 * @param holding whether jobs that hold their nodes look for a replacement, as something has changed
 */
export async function settle(pool: Pool, holding: boolean): Promise<JudgedAttempts> {
  const ids = await readUnsettled(pool, BATCH, holding ? LOOK_AGAIN : 0);
  return ids.length > 0 ? transaction(pool, (client) => judgeAttempts(client, ids)) : { backoffs: [], changed: false };
}
