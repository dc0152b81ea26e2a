import type { Client } from "../pool.ts";

export interface IncidentRow {
  id: string;
  kind: string;
  severity: "info" | "warning" | "critical";
  opened_at: Date;
  closed_at: Date | null;
  project: string | null;
  job: string | null;
  job_name: string | null;
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
    text: `SELECT i.id, i.kind, i.severity, i.opened_at, i.closed_at, CASE WHEN p.sees THEN i.project END AS project, CASE WHEN p.sees THEN i.job END AS job,
        CASE WHEN p.sees THEN (SELECT j.name || coalesce('[' || j.array_index || ']', '') FROM jobs j WHERE j.id = i.job) END AS job_name,
        CASE WHEN p.sees THEN i.attempt END AS attempt, i.node, i.evidence || coalesce(own.evidence, '[]') AS evidence, i.class, i.rule, i.action, i.cost
      FROM incidents i CROSS JOIN LATERAL (SELECT $1::text[] IS NULL OR i.project = ANY ($1) AS sees) p
        LEFT JOIN LATERAL (SELECT jsonb_agg(line) AS evidence, count(*) AS lines, bool_or(a.job = $3) AS of_job FROM incident_attempts a
          LEFT JOIN LATERAL jsonb_array_elements(a.evidence) AS line ON true WHERE a.incident = i.id AND ($1::text[] IS NULL OR a.project = ANY ($1))) own ON true
      WHERE (p.sees OR own.lines > 0) AND ($2::bool IS NULL OR (i.closed_at IS NULL) = $2) AND ($3::text IS NULL OR i.job = $3 OR own.of_job)
        AND ($4::text IS NULL OR i.node = $4) AND ($6::text IS NULL OR i.id < $6)
      ORDER BY i.id DESC LIMIT $5`,
    values: [filter.visible, filter.open ?? null, filter.job ?? null, filter.node ?? null, limit, before],
  });
  return rows;
}
