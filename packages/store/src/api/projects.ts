import type { ProjectSpec, Role } from "@muster/model";
import type { Client } from "../pool.ts";

export interface ProjectRow {
  name: string;
  description: string;
  version: number;
  members: Record<string, Role> | null;
}

export async function listProjects(client: Client, visible: readonly string[] | null, name: string | null): Promise<ProjectRow[]> {
  const { rows } = await client.query<ProjectRow>({
    name: "api-projects",
    text: `SELECT p.name, p.description, p.version, (SELECT jsonb_object_agg(m.subject, m.role) FROM members m WHERE m.project = p.name) AS members
      FROM projects p WHERE ($1::text[] IS NULL OR p.name = ANY($1)) AND ($2::text IS NULL OR p.name = $2) ORDER BY p.name`,
    values: [visible, name],
  });
  return rows;
}

export async function putProject(client: Client, spec: ProjectSpec): Promise<void> {
  await client.query({
    name: "api-put-project",
    text: `INSERT INTO projects (name, description) VALUES ($1, $2)
      ON CONFLICT (name) DO UPDATE SET description = $2, version = projects.version + 1`,
    values: [spec.name, spec.description],
  });
}

/** Makes the members of a project exactly these. */
export async function replaceMembers(client: Client, project: string, members: Readonly<Record<string, Role>>): Promise<void> {
  await client.query({
    name: "api-replace-members",
    text: `WITH wanted AS (SELECT * FROM unnest($2::text[], $3::text[]) AS w(subject, role)),
        gone AS (DELETE FROM members WHERE project = $1 AND subject NOT IN (SELECT subject FROM wanted))
      INSERT INTO members (project, subject, role) SELECT $1, subject, role FROM wanted
      ON CONFLICT (project, subject) DO UPDATE SET role = excluded.role`,
    values: [project, Object.keys(members), Object.values(members)],
  });
}
