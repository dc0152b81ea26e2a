import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { migrate, MigrationEdited, oldestProgram, SchemaTooNew } from "./migrate.ts";
import { testDatabase, type TestDatabase } from "./test-database.ts";

const MIGRATIONS = join(import.meta.dirname, "../migrations");
const files = readdirSync(MIGRATIONS).sort();
/** Migrations of before a program could run on a newer schema than its own. */
const FIRST_RELEASE = new Set(files.slice(0, 4));

describe("a program on a schema that is newer than its own", () => {
  let db: TestDatabase;
  beforeAll(async () => void (db = await testDatabase()));
  afterAll(() => db.drop());
  beforeEach(async () => void (await db.pool.query("DELETE FROM migration_hashes WHERE name LIKE '9%'")));

  const newer = (name: string, oldest: string | null) =>
    db.pool.query("INSERT INTO migration_hashes (name, sha256, oldest_program) VALUES ($1, 'x', $2)", [name, oldest]);

  test("runs where the newer migrations only add, so that a release can be gone back from", async () => {
    await newer("9001_adds", null);
    await expect(migrate(db.url)).resolves.toBeUndefined();
  });

  test("runs where what they take away is nothing that it uses", async () => {
    await newer("9001_takes_away", files.at(-1)?.slice(0, 4) ?? "");
    await expect(migrate(db.url)).resolves.toBeUndefined();
  });

  test("refuses where they take away what it uses, and says which version it takes", async () => {
    await newer("9002_takes_away", "9001");
    await expect(migrate(db.url)).rejects.toThrow(SchemaTooNew);
    await expect(migrate(db.url)).rejects.toThrow(/9002_takes_away.*doesn't know migration 9001/);
  });

  test("refuses a migration that was edited after it was applied", async () => {
    await db.pool.query("UPDATE migration_hashes SET sha256 = 'x' WHERE name = '0001_initial'");
    await expect(migrate(db.url)).rejects.toThrow(MigrationEdited);
  });
});

test("a migration only adds, or says which program it still suits", () => {
  const silent = files.filter((file) => {
    const text = readFileSync(join(MIGRATIONS, file), "utf8");
    return !FIRST_RELEASE.has(file) && takesAway(text) && oldestProgram(text) === null;
  });
  expect(silent).toEqual([]);
  expect(takesAway("ALTER TABLE x ADD COLUMN y int NOT NULL DEFAULT 0, DROP COLUMN z")).toBe(true);
  expect(takesAway("ALTER TABLE x ADD COLUMN y int NOT NULL")).toBe(true);
  expect(takesAway("ALTER TABLE x ADD COLUMN y int NOT NULL DEFAULT 0;\nCREATE TABLE z (id int NOT NULL);\n-- Down Migration\nDROP TABLE z")).toBe(false);
});

/** What a program that doesn't know it may stumble over: something gone, or a value that it doesn't give. */
function takesAway(migration: string): boolean {
  const up = (migration.split("-- Down Migration")[0] ?? "").replaceAll(/--.*$/gm, "");
  const gone = /\b(DROP\s+(TABLE|COLUMN|FUNCTION|VIEW)|RENAME|SET\s+NOT\s+NULL|COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE)\b/i;
  return gone.test(up) || up.split(/[,;]/).some((part) => /\bADD\s+(COLUMN\s+)?\w+\s.*NOT\s+NULL/is.test(part) && !/\bDEFAULT\b/i.test(part));
}

test("the oldest program is read from a line of its own", () => {
  expect(oldestProgram("-- Up Migration\n-- Oldest program: 0007\nDROP TABLE x;")).toBe("0007");
  expect(oldestProgram("-- Up Migration\nALTER TABLE x ADD COLUMN y int; -- Oldest program: 0007 and more")).toBeNull();
});
