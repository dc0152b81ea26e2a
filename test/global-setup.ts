import { chmodSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { migrate } from "../packages/store/src/migrate.ts";
import { CHROMIUM, ensureRequirements, GIT, OPENMPI, PYTORCH } from "../services/standalone/src/demo/requirements.ts";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "../packages/store/src/embedded-postgres.ts";
import { onServer } from "@muster/store/testing";

/**
 * Real Postgres servers, each with a migrated template database to clone from: one for each file that runs at a time, as the oldest
 * transaction of a server holds back the change feeds of all its databases. Gone when the tests end.
 */
export default async function setup(project?: TestProject): Promise<() => Promise<void>> {
  await ensureRequirements([PYTORCH, OPENMPI, CHROMIUM, GIT], (line) => process.stderr.write(`${line}\n`)).catch((error: Error) =>
    process.stderr.write(`Some tests will be skipped: ${error.message}\n`),
  );
  const dir = await mkdtemp(join(tmpdir(), "muster-test-"));
  // as root a server runs as another user, who is to reach it
  chmodSync(dir, 0o755);
  const count = project?.config.maxWorkers ?? 1;
  const servers = await Promise.all(Array.from({ length: count }, (_, index) => startServer(join(dir, String(index)))));
  const urls = servers.map(({ url }) => url);
  process.env["MUSTER_TEST_DATABASE_URL"] = urls[0];
  project?.provide("databaseServers", urls);
  return async () => {
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(dir, { recursive: true, force: true });
  };
}

async function startServer(dir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dir, unsafe: true });
  await onServer(server.url, "CREATE DATABASE muster_template");
  await migrate(Object.assign(new URL(server.url), { pathname: "/muster_template" }).href);
  return server;
}

declare module "vitest" {
  interface ProvidedContext {
    databaseServers: string[];
  }
}
