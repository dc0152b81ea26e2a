import type { Client } from "../pool.ts";

export interface IncidentRow {
  id: string;
  kind: string;
  severity: "info" | "warning" | "critical";
  opened_at: Date;
  closed_at: Date | null;
  project: string | null;
  job: string | null;
  attempt: number | null;
  node: string | null;
  evidence: unknown[];
  class: string | null;
  rule: string | null;
  action: string | null;
  cost: Record<string, unknown>;
}

export interface IncidentFilter {
  visible: readonly string[] | null;
  open?: boolean | undefined;
  job?: string | undefined;
  node?: string | undefined;
}

/** Incidents, newest first. */
export async function listIncidents(client: Client, filter: IncidentFilter, limit: number, before: string | null): Promise<IncidentRow[]> {
  const { rows } = await client.query<IncidentRow>({
    name: "api-incidents",
    text: `SELECT id, kind, severity, opened_at, closed_at, project, job, attempt, node, evidence, class, rule, action, cost FROM incidents
      WHERE ($1::text[] IS NULL OR project = ANY($1)) AND ($2::bool IS NULL OR (closed_at IS NULL) = $2) AND ($3::text IS NULL OR job = $3)
        AND ($4::text IS NULL OR node = $4) AND ($6::text IS NULL OR id < $6)
      ORDER BY id DESC LIMIT $5`,
    values: [filter.visible, filter.open ?? null, filter.job ?? null, filter.node ?? null, limit, before],
  });
  return rows;
}
