import type { NodeHealth } from "@muster/model";
import type { Client } from "../pool.ts";

export interface ReportedNodeRow {
  health: NodeHealth;
  pool: string;
  set_by: string | null;
  /** Nodes of the pool that checks took out of service, and all that aren't retired. */
  quarantined: number;
  total: number;
}

/** Locks a node for a check's report, one report per pool at a time. */
export async function lockReportedNode(client: Client, name: string): Promise<ReportedNodeRow | undefined> {
  await client.query({
    name: "lock-pool-of-node",
    text: "SELECT FROM pools WHERE name = (SELECT pool FROM nodes WHERE name = $1) FOR NO KEY UPDATE",
    values: [name],
  });
  const { rows: locked } = await client.query({ name: "lock-reported-node", text: "SELECT FROM nodes WHERE name = $1 FOR UPDATE", values: [name] });
  if (locked.length === 0) return undefined;
  const { rows } = await client.query<ReportedNodeRow>({
    name: "read-reported-node",
    text: `SELECT n.health, n.pool, n.health_check AS set_by,
        (SELECT count(*)::int FROM nodes o WHERE o.pool = n.pool AND o.health_check IS NOT NULL AND o.health IN ('cordoned', 'draining', 'diagnosing')) AS quarantined,
        (SELECT count(*)::int FROM nodes o WHERE o.pool = n.pool AND o.health <> 'retired') AS total
      FROM nodes n WHERE n.name = $1`,
    values: [name],
  });
  return rows[0];
}
