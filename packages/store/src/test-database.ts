import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { applyMigrations, MIGRATIONS } from "./migrate.ts";
import { createPool, type Pool } from "./pool.ts";
import type { DatabaseImage } from "./testing/in-memory.ts";

export interface TestDatabase {
  url: string;
  pool: Pool;
  drop(): Promise<void>;
}

/**
 * A database of its own for one test file, cloned from the migrated template that the global set-up made. Where MUSTER_TEST_STORE
 * is `in-memory`, one in this process instead, as simulations use it.
 */
export async function testDatabase(): Promise<TestDatabase> {
  if (process.env["MUSTER_TEST_STORE"] === "in-memory") return inMemoryDatabase();
  const server = process.env["MUSTER_TEST_DATABASE_URL"];
  if (!server) throw new Error("MUSTER_TEST_DATABASE_URL is missing; run tests by vitest, whose global set-up starts the server");
  const name = `t_${process.pid}_${randomBytes(4).toString("hex")}`;
  await onServer(server, `CREATE DATABASE ${name} TEMPLATE muster_template STRATEGY wal_log`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const pool = createPool(url.href, "test", { max: 10 });
  return {
    url: url.href,
    pool,
    async drop() {
      await pool.end();
      await onServer(server, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

let image: DatabaseImage | undefined;

async function inMemoryDatabase(): Promise<TestDatabase> {
  const { InMemoryPostgres, SerialPool } = await import("./testing/in-memory.ts");
  if (!image) {
    const first = await InMemoryPostgres.create();
    await applyMigrations(first.client);
    image = await first.dump();
    await first.close();
  }
  const postgres = await InMemoryPostgres.create(image);
  return { url: "", pool: new SerialPool(postgres.client) as unknown as Pool, drop: () => postgres.close() };
}

export async function onServer(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Takes the schema back to that of a version that had only so many migrations, as its rows would be there. */
export async function migrateDownTo(databaseUrl: string, migrations: number): Promise<void> {
  const extra = readdirSync(MIGRATIONS).length - migrations;
  if (extra <= 0) return;
  const silent = { info() {}, warn() {}, error() {}, debug() {} };
  await runner({ databaseUrl, dir: MIGRATIONS, migrationsTable: "migrations", direction: "down", count: extra, noLock: true, log: () => {}, logger: silent });
  await onServer(databaseUrl, "DELETE FROM migration_hashes WHERE name NOT IN (SELECT name FROM migrations)");
}
