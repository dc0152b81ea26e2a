import { decideHealth, decideSuspicion, RULE, type HealthReport, type ReportedNode } from "@muster/lifecycle";
import { lockReportedNode, type ReportedNodeRow } from "./api/node-health.ts";
import { appendEvents } from "./events.ts";
import { moveNode } from "./node-moves.ts";
import type { Client } from "./pool.ts";
import { endRepair, openRepairOf } from "./repairs.ts";
import { effectiveSettingsOf, readSettings } from "./settings.ts";
import { recordFaults } from "./supervisor/incident-records.ts";

/* What checks and rules say of nodes, and what follows from it. */

async function asReported(client: Client, row: ReportedNodeRow): Promise<ReportedNode> {
  const { quarantine } = effectiveSettingsOf(await readSettings(client)).nodes;
  return { health: row.health, setBy: row.set_by, quarantined: row.quarantined, total: row.total, quarantine };
}

/**
 * Takes a check's report of a node, in the caller's transaction. What runs on a node that it takes out of service is moved away
 * by the supervisor. @returns whether there is such a node
 */
export async function reportHealth(client: Client, name: string, report: HealthReport & { message: string }, actor: string): Promise<boolean> {
  const { status, check, message } = report;
  const row = await lockReportedNode(client, name);
  if (!row) return false;
  const node = { name, pool: row.pool, health: row.health };
  await appendEvents(client, [{ kind: "node.checked", actor, node: name, pool: row.pool, data: { check, status, message } }]);
  const rule = check.startsWith(RULE) ? check.slice(RULE.length) : null;
  const reason = rule === null ? `${check}: ${message || status}` : message;
  const repair = row.health === "diagnosing" ? await openRepairOf(client, name) : undefined;
  if (repair?.hook === check) {
    // a repair hook reports what came of it
    if (status !== "warning") await endRepair(client, node, repair, status === "ok", message || status, actor);
    return true;
  }
  const { events, full } = decideHealth(await asReported(client, row), report);
  const health = await moveNode(client, node, events, { reason, actor, setBy: check });
  if (health === row.health || status === "ok") return true;
  const cordoned = health === "cordoned";
  const why = `left in service: ${row.quarantined} of ${row.total} nodes of ${row.pool} are out by checks already`;
  await recordFaults(client, [
    {
      kind: "node_health",
      severity: cordoned || full ? "critical" : "warning",
      node: name,
      evidence: [reason.slice(0, 1000)],
      class: "infrastructure",
      rule: rule ?? `check ${check}`,
      action: cordoned ? "cordoned; its jobs start elsewhere" : full ? why : "suspected",
    },
  ]);
  return true;
}

export interface Suspect {
  node: string;
  reason: string;
  rule: string;
  job: string;
  /** A device reported what can't pass by itself. */
  certain: boolean;
}

/** Seconds in which what isn't preemptible may end by itself on a node whose work is to leave. */
const LEAVE_WITHIN = 86_400;

/** What rules said of nodes on which jobs broke; a node in an operator's hands keeps its state. */
export async function suspectNodes(client: Client, suspects: readonly Suspect[]): Promise<void> {
  if (suspects.length === 0) return;
  const byNode = new Map(suspects.map((suspect) => [suspect.node, suspect]));
  const names = [...byNode.keys()].sort();
  // the pools first, in their order, as several nodes follow
  await client.query({
    name: "lock-pools-of-nodes",
    text: "SELECT FROM pools WHERE name IN (SELECT pool FROM nodes WHERE name = ANY ($1)) ORDER BY name FOR NO KEY UPDATE",
    values: [names],
  });
  for (const name of names) {
    const { reason, rule, job, certain } = byNode.get(name) as Suspect;
    const row = await lockReportedNode(client, name);
    if (!row) continue;
    const { events } = decideSuspicion(await asReported(client, row), certain);
    await moveNode(client, { name, pool: row.pool, health: row.health }, events, {
      reason,
      actor: "supervisor",
      setBy: `${RULE}${rule}`,
      deadline: LEAVE_WITHIN,
      data: { job },
    });
  }
}
