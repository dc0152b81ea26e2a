import { compareFence, type Observation } from "@muster/engine";
import { appendEvents, newIncarnation, readAwaited, readCluster, readKnown, transaction, type Pool } from "@muster/store";
import { openIncident } from "./incidents.ts";

/** What an engine knows of a job, or of all together (`attempt` 0). */
export interface EngineFence {
  job: string;
  incarnation: string;
  attempt: number;
}

/**
 * Whether the store is older than what an engine knows: it was restored from a backup, or a lagging replica was promoted. What is
 * left over from before an incarnation that has begun since tells nothing new.
 */
export function storeIsOlder(seen: EngineFence, known: { incarnation: string; attempt: number } | undefined, incarnation: string): boolean {
  if (BigInt(seen.incarnation || "0") > BigInt(incarnation)) return true;
  if (seen.attempt === 0 || BigInt(seen.incarnation) < BigInt(incarnation)) return false;
  return !known || compareFence(seen, known) > 0;
}

/**
 * Begins a new incarnation because of what an engine knows: attempts from now on are newer than all that ran before. Nothing
 * starts until every shard has reported. Of several that notice at once, one does it.
 */
export async function beginIncarnation(pool: Pool, noticedIn: string, above: string, reason: string): Promise<void> {
  await transaction(pool, async (client) => {
    await client.query("SELECT FROM cluster FOR UPDATE");
    const cluster = await readCluster(client);
    if (cluster.incarnation !== noticedIn) return;
    const incarnation = await newIncarnation(client, reason, BigInt(above || "0"));
    await openIncident(client, {
      kind: "restored_backup",
      severity: "critical",
      evidence: [reason],
      action: `began incarnation ${incarnation}; starts wait until every shard has reported`,
    });
    await appendEvents(client, [{ kind: "cluster.new_incarnation", actor: "supervisor", data: { incarnation, reason } }]);
  });
}

/**
 * Looks in observations for what shows that the store is older than what ran: a newer attempt that the engine knows, or an attempt that
 * the store waits for and the engine remembers as ended and recorded.
 * @returns whether a new incarnation was begun
 */
export async function noticeOlder(pool: Pool, shard: string, observations: readonly Observation[]): Promise<boolean> {
  const newer = observations.filter((one) => one.kind === "newer_known");
  const stale = observations.filter((one) => one.kind === "refused" && one.code === "stale");
  if (newer.length + stale.length === 0) return false;
  const { incarnation } = await readCluster(pool);
  const known = await readKnown(
    pool,
    newer.map((one) => one.job),
  );
  const found = newer.find((one) => storeIsOlder(one, known.get(one.job), incarnation));
  const awaited = (
    await readAwaited(
      pool,
      stale.flatMap((one) => ("worker" in one ? [one] : [])),
    )
  ).find((one) => one.incarnation === incarnation);
  const seen = found ?? awaited;
  if (!seen) return false;
  const reason = found
    ? `shard ${shard} knows attempt ${seen.attempt} of ${seen.job}, which is newer than the database's: it was restored from a backup`
    : `shard ${shard} remembers that attempt ${seen.attempt} of ${seen.job} ended, which this database has yet to start: it was restored from a backup`;
  await beginIncarnation(pool, incarnation, seen.incarnation, reason);
  return true;
}
