import { appendEvents, type Client } from "@muster/store";

/** Marks nodes as suspect, with the reason; one that is in an operator's hands keeps its state. */
export async function suspectNodes(client: Client, suspects: readonly { node: string; reason: string; job: string }[]): Promise<void> {
  for (const suspect of suspects) {
    const { rows } = await client.query<{ pool: string }>({
      name: "suspect-node",
      text: `UPDATE nodes SET health = 'suspect', health_reason = $2, health_actor = 'supervisor', health_since = now(), version = version + 1
        WHERE name = $1 AND health = 'ready' RETURNING pool`,
      values: [suspect.node, suspect.reason.slice(0, 1000)],
    });
    if (rows[0])
      await appendEvents(client, [
        { kind: "node.suspect", actor: "supervisor", node: suspect.node, pool: rows[0].pool, data: { reason: suspect.reason, job: suspect.job } },
      ]);
  }
}
