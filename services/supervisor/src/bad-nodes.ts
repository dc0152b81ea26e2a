import { appendEvents, attemptKey, endProbations, lockGangs, readOnBadNodes, transaction, type Pool } from "@muster/store";
import { endAttempts } from "./end-attempts.ts";

/**
 * Level-triggered: ends what runs on nodes that a check took out of service, so that it starts elsewhere, and takes nodes that
 * have proven themselves off probation. @returns whether something others act on changed
 */
export async function leaveBadNodes(pool: Pool): Promise<boolean> {
  const seen = await readOnBadNodes(pool);
  if (seen.length > 0) {
    await transaction(pool, async (client) => {
      const gangs = await lockGangs(client, seen);
      const still = new Map((await readOnBadNodes(client)).map((row) => [attemptKey(row), row]));
      const ended = gangs.flatMap((gang) => {
        const row = still.get(attemptKey(gang));
        return row
          ? [{ gang, found: { rule: "bad_node" as const, node: row.node, evidence: [`${row.node}: ${row.reason}`] }, kind: "job.on_bad_node", condition: null }]
          : [];
      });
      await endAttempts(client, ended);
    });
  }
  const proven = await transaction(pool, async (client) => {
    const nodes = await endProbations(client);
    await appendEvents(
      client,
      nodes.map(({ name, pool: of, from }) => ({
        kind: from === "suspect" ? "node.cleared" : "node.proven",
        actor: "supervisor",
        node: name,
        pool: of,
        data: { reason: "nothing broke there since", from, to: "ready" },
      })),
    );
    return nodes.length;
  });
  return seen.length > 0 || proven > 0;
}
