import type { Role } from "@muster/model";
import type { Client } from "../pool.ts";

export interface TokenRow {
  id: string;
  subject: string;
  project: string | null;
  role: Role;
  description: string;
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
}

const COLUMNS = "id, subject, project, role, description, created_at, expires_at, last_used_at";

export interface FoundToken extends TokenRow {
  hash: Buffer;
  /** Of its subject: project → role. */
  memberships: Record<string, Role> | null;
}

/** Those of these hashes that are tokens, and hold. */
export async function findTokens(client: Client, hashes: readonly Buffer[]): Promise<FoundToken[]> {
  const { rows } = await client.query<FoundToken>({
    name: "api-find-tokens",
    text: `SELECT ${COLUMNS}, hash, (SELECT jsonb_object_agg(m.project, m.role) FROM members m WHERE m.subject = t.subject) AS memberships
      FROM tokens t WHERE hash = ANY($1::bytea[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
    values: [hashes],
  });
  return rows;
}

/** @returns undefined where the secret exists already */
export async function insertToken(
  client: Client,
  token: { id: string; hash: Buffer; subject: string; project: string | null; role: Role; description: string; expiresIn: number | null },
): Promise<TokenRow | undefined> {
  const { rows } = await client.query<TokenRow>({
    name: "api-insert-token",
    text: `INSERT INTO tokens (id, hash, subject, project, role, description, expires_at)
      VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) ON CONFLICT (hash) DO NOTHING RETURNING ${COLUMNS}`,
    values: [token.id, token.hash, token.subject, token.project, token.role, token.description, token.expiresIn],
  });
  return rows[0];
}

/** Tokens that are not revoked, newest first; of some projects alone, or (null) all. */
export async function listTokens(client: Client, projects: readonly string[] | null, limit: number, before: string | null): Promise<TokenRow[]> {
  const { rows } = await client.query<TokenRow>({
    name: "api-list-tokens",
    text: `SELECT ${COLUMNS} FROM tokens WHERE revoked_at IS NULL AND ($1::text[] IS NULL OR project = ANY($1)) AND ($3::text IS NULL OR id < $3)
      ORDER BY id DESC LIMIT $2`,
    values: [projects, limit, before],
  });
  return rows;
}

/** @returns the token's hash, so that caches can forget it; undefined where there is no such token */
export async function revokeToken(
  client: Client,
  id: string,
  projects: readonly string[] | null,
): Promise<{ hash: Buffer; subject: string; project: string | null } | undefined> {
  const { rows } = await client.query<{ hash: Buffer; subject: string; project: string | null }>({
    name: "api-revoke-token",
    text: "UPDATE tokens SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL AND ($2::text[] IS NULL OR project = ANY($2)) RETURNING hash, subject, project",
    values: [id, projects],
  });
  return rows[0];
}

export async function touchTokens(client: Client, ids: readonly string[]): Promise<void> {
  await client.query({ name: "api-touch-tokens", text: "UPDATE tokens SET last_used_at = now() WHERE id = ANY($1::text[])", values: [ids] });
}
