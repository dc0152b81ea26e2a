import { LEMON_DAYS, scoreLemon, type NodeFault } from "@muster/lifecycle";
import type { NodeHealth } from "@muster/model";
import { lockReportedNode } from "./api/node-health.ts";
import { moveNode } from "./node-moves.ts";
import type { Client } from "./pool.ts";
import { recordFaults } from "./supervisor/incident-records.ts";

/* Nodes that were taken out of service without a person, and what is done to bring them back. */

export interface RepairRow {
  id: string;
  node: string;
  pool: string;
  hook: string;
  reason: string;
  state: "asked" | "waiting" | "passed" | "failed";
  tries: number;
  said: string | null;
  /** Seconds since it was asked for. */
  age: number;
}

const REPAIR =
  "SELECT r.id::text, r.node, n.pool, r.hook, r.reason, r.state, r.tries, r.said, extract(epoch FROM now() - r.asked_at)::float8 AS age FROM repairs r JOIN nodes n ON n.name = r.node";

export async function readOpenRepairs(client: Client): Promise<RepairRow[]> {
  return (await client.query<RepairRow>({ name: "read-open-repairs", text: `${REPAIR} WHERE r.ended_at IS NULL ORDER BY r.id` })).rows;
}

export async function openRepairOf(client: Client, node: string): Promise<RepairRow | undefined> {
  return (await client.query<RepairRow>({ name: "open-repair-of", text: `${REPAIR} WHERE r.node = $1 AND r.ended_at IS NULL`, values: [node] })).rows[0];
}

/** Nodes that wait for a repair: out of service by a check or a rule, or to be diagnosed, with no work left on them. */
export async function readBroken(client: Client): Promise<{ name: string; pool: string; health: NodeHealth; reason: string }[]> {
  const { rows } = await client.query<{ name: string; pool: string; health: NodeHealth; reason: string }>({
    name: "read-broken-nodes",
    text: `SELECT n.name, n.pool, n.health, n.health_reason AS reason FROM nodes n
      WHERE ((n.health = 'cordoned' AND n.health_check IS NOT NULL AND n.health_check <> 'repair') OR n.health = 'diagnosing') AND n.reachable
        AND NOT EXISTS (SELECT FROM workers w WHERE w.node = n.name AND NOT w.released)
        AND NOT EXISTS (SELECT FROM repairs r WHERE r.node = n.name AND r.ended_at IS NULL) ORDER BY n.name`,
  });
  return rows;
}

/** Has a hook repair a node, in the caller's transaction. @returns whether it still was to be */
export async function askRepair(client: Client, name: string, hook: string, retireAfter: number | null): Promise<boolean> {
  const row = await lockReportedNode(client, name);
  if (!row || (row.health !== "cordoned" && row.health !== "diagnosing") || (await openRepairOf(client, name))) return false;
  const node = { name, pool: row.pool, health: row.health };
  const { rows } = await client.query<{ passed: number; reason: string | null }>({
    name: "count-repairs",
    text: `SELECT (SELECT count(*)::int FROM repairs WHERE node = $1 AND state = 'passed' AND ended_at > now() - make_interval(days => ${LEMON_DAYS})) AS passed, health_reason AS reason FROM nodes WHERE name = $1`,
    values: [name],
  });
  const { passed = 0, reason = "" } = rows[0] ?? {};
  if (retireAfter !== null && passed >= retireAfter) {
    const why = `it broke again after ${passed} repairs within ${LEMON_DAYS} days (${reason ?? ""})`;
    await moveNode(client, node, ["retire"], { reason: why, actor: "supervisor" });
    await recordFaults(client, [
      { kind: "node_health", severity: "critical", node: name, evidence: [why], class: "infrastructure", rule: "retire_after", action: "retired" },
    ]);
    return false;
  }
  await moveNode(client, node, ["diagnose"], { reason: reason ?? "to be diagnosed", actor: "supervisor", setBy: row.set_by, data: { hook } });
  await client.query({
    name: "ask-repair",
    text: "INSERT INTO repairs (node, hook, reason) VALUES ($1, $2, $3)",
    values: [name, hook, (reason ?? "").slice(0, 1000)],
  });
  return true;
}

/** A try is made; null where it is no more to be. */
export async function beginTry(client: Client, id: string): Promise<RepairRow | null> {
  const { rowCount } = await client.query({
    name: "begin-repair-try",
    text: "UPDATE repairs SET tries = tries + 1 WHERE id = $1 AND state = 'asked'",
    values: [id],
  });
  if (rowCount === 0) return null;
  return (await client.query<RepairRow>({ name: "read-repair", text: `${REPAIR} WHERE r.id = $1`, values: [id] })).rows[0] ?? null;
}

/** The hook took it on, and will report. */
export async function awaitRepair(client: Client, id: string, said: string): Promise<void> {
  await client.query({
    name: "await-repair",
    text: "UPDATE repairs SET state = 'waiting', said = $2 WHERE id = $1 AND state = 'asked'",
    values: [id, said.slice(0, 4000)],
  });
}

/** What came of a repair, in the caller's transaction, which has locked the node: probation, or out of service for a person to see to. */
export async function endRepair(
  client: Client,
  node: { name: string; pool: string; health: NodeHealth },
  repair: Pick<RepairRow, "id" | "hook">,
  passed: boolean,
  said: string,
  actor: string,
): Promise<void> {
  const { rowCount } = await client.query({
    name: "end-repair",
    text: "UPDATE repairs SET state = $2, said = $3, ended_at = now() WHERE id = $1 AND ended_at IS NULL",
    values: [repair.id, passed ? "passed" : "failed", said.slice(0, 4000)],
  });
  if (rowCount === 0 || node.health !== "diagnosing") return;
  const reason = `${repair.hook}: ${said || (passed ? "repaired" : "failed")}`;
  // `repair` keeps it from being repaired again by itself
  await moveNode(client, node, passed ? ["passed"] : ["cordon"], { reason, actor, setBy: passed ? null : "repair" });
  if (!passed)
    await recordFaults(client, [
      {
        kind: "node_health",
        severity: "critical",
        node: node.name,
        evidence: [reason.slice(0, 1000)],
        class: "infrastructure",
        rule: `hook ${repair.hook}`,
        action: "left out of service for a person",
      },
    ]);
}

/** The same, where the node isn't locked yet. */
export async function settleRepair(client: Client, repair: RepairRow, passed: boolean, said: string): Promise<void> {
  const row = await lockReportedNode(client, repair.node);
  if (row) await endRepair(client, { name: repair.node, pool: row.pool, health: row.health }, repair, passed, said, "supervisor");
}

export interface LemonRow {
  node: string;
  pool: string;
  health: NodeHealth;
  score: number;
  episodes: number;
  /** Since it was last repaired or put back into service by a person. */
  since_repair: number;
  repairs: number;
}

/** Nodes with faults of their own within 28 days, by their score; what the job itself or somebody from outside did is none of theirs. */
export async function readLemons(client: Client, names: readonly string[] | null = null): Promise<LemonRow[]> {
  const { rows } = await client.query<{
    now: number;
    node: string;
    pool: string;
    health: NodeHealth;
    repaired: number | null;
    repairs: number;
    faults: NodeFault[];
  }>({
    name: "read-lemons",
    text: `SELECT (extract(epoch FROM now()) * 1000)::float8 AS now, n.name AS node, n.pool, n.health, f.faults,
        (SELECT count(*)::int FROM repairs r WHERE r.node = n.name AND r.asked_at > now() - make_interval(days => ${LEMON_DAYS})) AS repairs,
        (extract(epoch FROM greatest((SELECT max(r.ended_at) FROM repairs r WHERE r.node = n.name AND r.state = 'passed'),
          (SELECT max(e.at) FROM events e WHERE e.node = n.name AND e.kind = 'node.uncordon' AND e.at > now() - make_interval(days => ${LEMON_DAYS})))) * 1000)::float8 AS repaired
      FROM (SELECT i.node, jsonb_agg(jsonb_build_object('at', (extract(epoch FROM i.opened_at) * 1000)::float8, 'warning', i.kind = 'node_health' AND i.severity <> 'critical')) AS faults
          FROM incidents i WHERE i.opened_at > now() - make_interval(days => ${LEMON_DAYS}) AND i.node IS NOT NULL AND i.class IN ('infrastructure', 'unknown')
            AND coalesce(i.rule, '') NOT IN ('killed', 'fenced', 'cascade', 'retire_after', 'lemon') AND ($1::text[] IS NULL OR i.node = ANY ($1)) GROUP BY i.node) f
        JOIN nodes n ON n.name = f.node`,
    values: [names],
  });
  return rows
    .map(({ now, faults, repaired, ...row }) => {
      const { score, episodes } = scoreLemon(faults, now);
      return {
        ...row,
        score,
        episodes,
        since_repair: scoreLemon(
          faults.filter(({ at }) => repaired === null || at > repaired),
          now,
        ).score,
      };
    })
    .sort((a, b) => b.score - a.score || (a.node < b.node ? -1 : 1));
}
