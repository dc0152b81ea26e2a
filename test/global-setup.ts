import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "../packages/store/src/migrate.ts";
import { CHROMIUM, ensureRequirements, GIT, OPENMPI, PYTORCH } from "../services/standalone/src/demo/requirements.ts";
import { startEmbeddedPostgres } from "../packages/store/src/embedded-postgres.ts";
import { onServer } from "@muster/store/testing";

/** One real Postgres for all test files, with a migrated template database to clone from. Gone when the tests end. */
export default async function setup(): Promise<() => Promise<void>> {
  await ensureRequirements([PYTORCH, OPENMPI, CHROMIUM, GIT], (line) => process.stderr.write(`${line}\n`)).catch((error: Error) =>
    process.stderr.write(`Some tests will be skipped: ${error.message}\n`),
  );
  const dir = await mkdtemp(join(tmpdir(), "muster-test-"));
  const server = await startEmbeddedPostgres({ dir, unsafe: true });
  await onServer(server.url, "CREATE DATABASE muster_template");
  const template = new URL(server.url);
  template.pathname = "/muster_template";
  await migrate(template.href);
  process.env["MUSTER_TEST_DATABASE_URL"] = server.url;
  return async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  };
}
