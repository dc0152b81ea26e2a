import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { ADVISORY_LOCKS } from "./advisory-locks.ts";

const MIGRATIONS = join(dirname(fileURLToPath(import.meta.url)), "..", "migrations");

/** The database's schema is newer than this program: it must not run on it. */
export class SchemaTooNew extends Error {
  override name = "SchemaTooNew";
}

/** An already applied migration differs from the file of the same name. */
export class MigrationEdited extends Error {
  override name = "MigrationEdited";
}

/**
 * Brings the schema up to this program's, each migration in its own transaction. Several may call it at once.
 * @throws SchemaTooNew, MigrationEdited
 */
export async function migrate(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "muster-migrate" });
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [ADVISORY_LOCKS.migrations]);
    const files = readdirSync(MIGRATIONS)
      .filter((file) => file.endsWith(".sql"))
      .sort();
    await client.query("CREATE TABLE IF NOT EXISTS migration_hashes (name text PRIMARY KEY, sha256 text NOT NULL)");
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
      await client.query("INSERT INTO migration_hashes (name, sha256) VALUES ($1, $2) ON CONFLICT DO NOTHING", [file.replace(/\.sql$/, ""), hashOf(file)]);
    }
  } finally {
    await client.end();
  }
}

async function refuseForeign(client: pg.Client, files: string[]): Promise<void> {
  const { rows } = await client.query<{ name: string; sha256: string }>("SELECT name, sha256 FROM migration_hashes");
  const known = new Map(files.map((file) => [file.replace(/\.sql$/, ""), hashOf(file)]));
  for (const row of rows) {
    const hash = known.get(row.name);
    if (hash === undefined)
      throw new SchemaTooNew(
        `The database has migration ${row.name}, which this version of Muster doesn't know; run a version at least as new as the one that made it`,
      );
    if (hash !== row.sha256) throw new MigrationEdited(`Migration ${row.name} was changed after it was applied; restore its file`);
  }
}

function hashOf(file: string): string {
  return createHash("sha256")
    .update(readFileSync(join(MIGRATIONS, file)))
    .digest("hex");
}

const silent = { info() {}, warn() {}, error() {}, debug() {} };
