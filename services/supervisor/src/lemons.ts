import { hasRoom } from "@muster/lifecycle";
import { effectiveSettingsOf, lockReportedNode, moveNode, readLemons, readSettings, recordFaults, transaction, type Pool } from "@muster/store";

/** Seconds in which work that isn't preemptible may end by itself. */
const LEAVE_WITHIN = 86_400;

/** Has work leave nodes that break again and again, as far as the quarantine of their pool has room. @returns whether any */
export async function drainLemons(pool: Pool): Promise<boolean> {
  const { lemon_score: limit, quarantine } = effectiveSettingsOf(await readSettings(pool)).nodes;
  if (limit === null) return false;
  const lemons = (await readLemons(pool)).filter(
    ({ health, since_repair: score }) => score >= limit && (health === "ready" || health === "suspect" || health === "probation"),
  );
  let drained = false;
  for (const { node, episodes, score } of lemons) {
    drained =
      (await transaction(pool, async (client) => {
        const row = await lockReportedNode(client, node);
        if (!row || (row.health !== "ready" && row.health !== "suspect" && row.health !== "probation") || !hasRoom({ ...row, quarantine })) return false;
        const reason = `it broke ${episodes} times within 28 days (score ${score}, limit ${limit})`;
        await moveNode(client, { name: node, pool: row.pool, health: row.health }, ["drain"], {
          reason,
          actor: "supervisor",
          setBy: "lemon",
          deadline: LEAVE_WITHIN,
        });
        await recordFaults(client, [
          {
            kind: "node_health",
            severity: "critical",
            node,
            evidence: [reason],
            class: "infrastructure",
            rule: "lemon",
            action: "drained; its work leaves it",
          },
        ]);
        return true;
      })) || drained;
  }
  return drained;
}
