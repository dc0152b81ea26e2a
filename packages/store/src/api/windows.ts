import type { WindowSpec } from "@muster/model";
import type { Client } from "../pool.ts";

export interface WindowListRow {
  name: string;
  spec: WindowSpec;
  state: "coming" | "open" | "over";
  node_count: number;
  version: number;
}

/** Windows by their start, with how many nodes each is about. */
export async function listWindows(client: Client, name: string | null): Promise<WindowListRow[]> {
  const { rows } = await client.query<WindowListRow>({
    name: "api-windows",
    text: `SELECT w.name, w.spec, w.version,
        CASE WHEN now() < w.starts_at THEN 'coming' WHEN now() < w.ends_at THEN 'open' ELSE 'over' END AS state,
        (SELECT count(*)::int FROM nodes n WHERE n.name IN (SELECT jsonb_array_elements_text(w.spec->'nodes')) OR (n.pool = w.spec->>'pool'
          AND to_jsonb(n.fabric[1:jsonb_array_length(w.spec->'block')]) = w.spec->'block')) AS node_count
      FROM windows w WHERE $1::text IS NULL OR w.name = $1 ORDER BY w.starts_at, w.name`,
    values: [name],
  });
  return rows;
}

export async function putWindow(client: Client, spec: WindowSpec): Promise<void> {
  await client.query({
    name: "api-put-window",
    text: `INSERT INTO windows (name, starts_at, ends_at, spec) VALUES ($1, $2, $3, $4)
      ON CONFLICT (name) DO UPDATE SET starts_at = $2, ends_at = $3, spec = $4, version = windows.version + 1, updated_at = now()`,
    values: [spec.name, spec.start, spec.end, JSON.stringify(spec)],
  });
}

/** Of the ids given, those that no job has. */
export async function unknownJobs(client: Client, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const { rows } = await client.query<{ id: string }>({
    name: "api-unknown-jobs",
    text: "SELECT a.id FROM unnest($1::text[]) AS a(id) WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = a.id) ORDER BY a.id",
    values: [ids],
  });
  return rows.map((row) => row.id);
}

/** Of the names given, those that no node has. */
export async function unknownNodes(client: Client, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const { rows } = await client.query<{ name: string }>({
    name: "api-unknown-nodes",
    text: "SELECT a.name FROM unnest($1::text[]) AS a(name) WHERE NOT EXISTS (SELECT FROM nodes n WHERE n.name = a.name) ORDER BY a.name",
    values: [names],
  });
  return rows.map((row) => row.name);
}
