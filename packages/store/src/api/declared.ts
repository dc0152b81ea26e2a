import type { Client } from "../pool.ts";

/** Declarative things with a version; the table's name is one of these and never an input. */
export const DECLARED = { pool: "pools", queue: "queues", project: "projects", node: "nodes", window: "windows", shard: "shards" } as const;
export type Declared = keyof typeof DECLARED;

/** The version of a declared thing, locked until the transaction ends; undefined where there is none. */
export async function lockVersion(client: Client, kind: Declared, name: string): Promise<number | undefined> {
  const { rows } = await client.query<{ version: number }>({
    name: `api-lock-${kind}-version`,
    text: `SELECT version FROM ${DECLARED[kind]} WHERE name = $1 FOR UPDATE`,
    values: [name],
  });
  return rows[0]?.version;
}

/** Removes it; fails with a foreign-key violation (23503) while something depends on it. */
export async function deleteDeclared(client: Client, kind: Declared, name: string): Promise<boolean> {
  const { rowCount } = await client.query({ name: `api-delete-${kind}`, text: `DELETE FROM ${DECLARED[kind]} WHERE name = $1`, values: [name] });
  return rowCount === 1;
}
