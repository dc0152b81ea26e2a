import { findStragglers, worthRestart, type RankTimes, type Straggler, type StragglerLimits } from "@muster/lifecycle";
import type { FaultRule } from "@muster/model";
import {
  appendEvents,
  attemptKey,
  hasReplacement,
  lockGangs,
  lockJobs,
  readFaultRules,
  readStepping,
  setStraggling,
  takeLease,
  transaction,
  type Client,
  type Pool,
  type SteppingRow,
} from "@muster/store";
import type { Logger } from "pino";
import { endAttempts } from "./end-attempts.ts";

const ACTOR = "supervisor";
const LEASE_SECONDS = 15;

export interface StragglerWatchOptions {
  pool: Pool;
  logger: Logger;
  holder: string;
  limits: StragglerLimits;
}

/**
 * Says of jobs that a rank slows them down, and ends an attempt when that has cost more than a restart without the slow node, as
 * the cluster's rule `straggler` says. One supervisor at a time. @returns whether something others act on changed
 */
export async function watchStragglers({ pool, logger, holder, limits }: StragglerWatchOptions): Promise<boolean> {
  if (!(await takeLease(pool, "straggler-watch", holder, LEASE_SECONDS))) return false;
  const seen = (await readStepping(pool, null)).map((row) => ({ row, slow: stragglersOf(row, limits)[0] }));
  await say(
    pool,
    seen.filter(({ row, slow }) => row.said !== (slow !== undefined)),
  );
  const rule = (await readFaultRules(pool)).find(({ id }) => id === "straggler");
  if (rule?.off || (rule?.action !== undefined && rule.action !== "exclude_node" && rule.action !== "retry")) return false;
  let changed = false;
  for (const { row, slow } of seen) {
    if (!slow || !(await decide(pool, row, slow, limits)).act) continue;
    changed = (await transaction(pool, (client) => act(client, row, rule, limits, logger))) || changed;
  }
  return changed;
}

function stragglersOf({ now, workers }: SteppingRow, limits: StragglerLimits): Straggler[] {
  const ranks = new Map<number, RankTimes & { reports: { at: number; seconds: number }[] }>();
  for (const { worker, node, windows } of workers)
    for (const { at, ranks: told } of windows)
      for (const [name, seconds] of Object.entries(told)) {
        const rank = Number(name);
        const known = ranks.get(rank) ?? { rank, worker, node, reports: [] };
        known.reports.push({ at: at * 1000, seconds });
        ranks.set(rank, known);
      }
  return findStragglers(now, [...ranks.values()], limits);
}

async function say(pool: Pool, changed: readonly { row: SteppingRow; slow: Straggler | undefined }[]): Promise<void> {
  if (changed.length === 0) return;
  await transaction(pool, async (client) => {
    await lockJobs(
      client,
      changed.map(({ row }) => row),
    );
    for (const { row, slow } of changed) await setStraggling(client, row.job, slow !== undefined);
    await appendEvents(
      client,
      changed.map(({ row: { job, project, attempt }, slow }) => ({
        kind: slow ? "job.straggler" : "job.straggler_over",
        actor: ACTOR,
        project,
        job,
        attempt,
        node: slow?.node ?? null,
        data: slow ? { rank: slow.rank, own: slow.own, peers: slow.peers, evidence: slow.evidence } : {},
      })),
    );
  });
}

async function decide(client: Client, row: SteppingRow, slow: Straggler, limits: StragglerLimits): Promise<{ act: boolean; why: string }> {
  const cost = { now: row.now, restart: row.restart, committedAt: row.committed_at };
  const worth = worthRestart(slow, { ...cost, replaceable: true }, limits);
  return worth.act ? worthRestart(slow, { ...cost, replaceable: await hasReplacement(client, row.job, slow.node) }, limits) : worth;
}

/** Judges once more with the job locked, and ends the attempt, or only says so where the rule is in shadow. */
async function act(
  client: Client,
  { job, incarnation, attempt, project }: SteppingRow,
  rule: FaultRule | undefined,
  limits: StragglerLimits,
  logger: Logger,
): Promise<boolean> {
  const id = { job, incarnation, attempt };
  const gang = (await lockGangs(client, [id])).find((one) => one.current && one.state === "running" && one.attempt_state === "running");
  const row = (await readStepping(client, [id])).find((one) => attemptKey(one) === attemptKey(id));
  const slow = row && stragglersOf(row, limits)[0];
  if (!gang || !row || !slow) return false;
  const { act: worth, why } = await decide(client, row, slow, limits);
  if (!worth) return false;
  const evidence = [...slow.evidence, why];
  if (rule?.shadow) {
    const { rows } = await client.query({
      name: "shadowed",
      text: "SELECT FROM events WHERE job = $1 AND attempt = $2 AND kind = 'rule.would_match' AND data->>'rule' = 'straggler' LIMIT 1",
      values: [job, attempt],
    });
    if (rows.length === 0)
      await appendEvents(client, [{ kind: "rule.would_match", actor: ACTOR, project, job, attempt, node: slow.node, data: { rule: "straggler", evidence } }]);
    return false;
  }
  logger.warn({ job, evidence }, "a slow node: the attempt is ended");
  await endAttempts(client, [{ gang, found: { rule: "straggler", node: slow.node, evidence }, kind: "job.leaves_slow_node", condition: null }]);
  return true;
}
