import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { ADVISORY_LOCKS } from "./advisory-locks.ts";

export const MIGRATIONS = join(dirname(fileURLToPath(import.meta.url)), "..", "migrations");

/** The database's schema has changed in a way that this program doesn't know: it must not run on it. */
export class SchemaTooNew extends Error {
  override name = "SchemaTooNew";
}

/** An already applied migration differs from the file of the same name. */
export class MigrationEdited extends Error {
  override name = "MigrationEdited";
}

/**
 * Brings the schema up to this program's, each migration in its own transaction. Several may call it at once. A newer schema is
 * taken as it is where all that it has more only adds to what this program knows.
 * @throws SchemaTooNew, MigrationEdited
 */
export async function migrate(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "muster-migrate" });
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [ADVISORY_LOCKS.migrations]);
    await applyMigrations(client);
  } finally {
    await client.end();
  }
}

/** The same by a connection that nobody else uses; the caller sees to it that no other does it at once. */
export async function applyMigrations(client: pg.Client): Promise<void> {
  const files = readdirSync(MIGRATIONS)
    .filter((file) => file.endsWith(".sql"))
    .sort();
  await client.query("CREATE TABLE IF NOT EXISTS migration_hashes (name text PRIMARY KEY, sha256 text NOT NULL)");
  await client.query("ALTER TABLE migration_hashes ADD COLUMN IF NOT EXISTS oldest_program text");
  await refuseForeign(client, files);
  await runner({
    dbClient: client,
    dir: MIGRATIONS,
    migrationsTable: "migrations",
    direction: "up",
    noLock: true,
    checkOrder: true,
    singleTransaction: false,
    log: () => {},
    logger: silent,
  });
  for (const file of files) {
    const text = readFileSync(join(MIGRATIONS, file), "utf8");
    await client.query("INSERT INTO migration_hashes (name, sha256, oldest_program) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", [
      nameOf(file),
      hashOf(text),
      oldestProgram(text),
    ]);
  }
}

async function refuseForeign(client: pg.Client, files: string[]): Promise<void> {
  const { rows } = await client.query<{ name: string; sha256: string; oldest_program: string | null }>(
    "SELECT name, sha256, oldest_program FROM migration_hashes ORDER BY name",
  );
  const known = new Map(files.map((file) => [nameOf(file), hashOf(readFileSync(join(MIGRATIONS, file), "utf8"))]));
  const newest = files.map(nameOf).at(-1) ?? "";
  for (const { name, sha256, oldest_program: oldest } of rows) {
    const hash = known.get(name);
    if (hash === undefined && oldest !== null && newest < oldest)
      throw new SchemaTooNew(
        `The database has migration ${name}, on which no version of Muster can run that doesn't know migration ${oldest}, and this one knows ${newest} at most; ` +
          "run a version at least as new as that, or restore a backup from before it",
      );
    if (hash !== undefined && hash !== sha256) throw new MigrationEdited(`Migration ${name} was changed after it was applied; restore its file`);
  }
}

/**
 * The number of the migration that a program must know to run on what this one makes: `-- Oldest program: 0007` in its text. One that
 * only adds says nothing, as any program can go on with it.
 */
export function oldestProgram(migration: string): string | null {
  return /^-- Oldest program: (\d{4})$/m.exec(migration)?.[1] ?? null;
}

const nameOf = (file: string): string => file.replace(/\.sql$/, "");

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

const silent = { info() {}, warn() {}, error() {}, debug() {} };
