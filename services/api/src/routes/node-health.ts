import { decideHealth, nextNodeHealth } from "@muster/lifecycle";
import type { nodeHealthBody, NodeHealth } from "@muster/model";
import { appendEvents, lockReportedNode, recordFaults, setNodeHealth, type Client } from "@muster/store";
import type { z } from "zod";
import { notFound } from "../problems/problem.ts";

/**
 * Takes a check's report of a node, in the caller's transaction. What runs on a node that it takes out of service is moved away
 * by the supervisor.
 */
export async function reportHealth(client: Client, name: string, report: z.output<typeof nodeHealthBody>, actor: string): Promise<void> {
  const { status, check, message } = report;
  const node = await lockReportedNode(client, name);
  if (!node) throw notFound("node", name);
  await appendEvents(client, [{ kind: "node.checked", actor, node: name, pool: node.pool, data: { check, status, message } }]);
  const { events, full } = decideHealth({ health: node.health, setBy: node.set_by, quarantined: node.quarantined, total: node.total }, report);
  const reason = `${check}: ${message || status}`.slice(0, 1000);
  let health: NodeHealth = node.health;
  for (const event of events) {
    const from = health;
    health = nextNodeHealth(health, event) ?? health;
    await appendEvents(client, [{ kind: `node.${event}`, actor, node: name, pool: node.pool, data: { reason, from, to: health } }]);
  }
  if (health === node.health) return;
  const ready = health === "ready";
  await setNodeHealth(client, name, health, ready ? null : reason, ready ? null : actor, null, health === "suspect" || health === "cordoned" ? check : null);
  if (status === "ok") return;
  const cordoned = health === "cordoned";
  const why = `left in service: ${node.quarantined} of ${node.total} nodes of ${node.pool} are out by checks already`;
  await recordFaults(client, [
    {
      kind: "node_health",
      severity: cordoned || full ? "critical" : "warning",
      node: name,
      evidence: [reason],
      class: "infrastructure",
      rule: `check ${check}`,
      action: cordoned ? "cordoned; its jobs start elsewhere" : full ? why : "suspected",
    },
  ]);
}
