import { inject } from "vitest";

/* Before each test file: of the servers that the global set-up started, the one of this worker. */

const servers = inject("databaseServers");
process.env["MUSTER_TEST_DATABASE_URL"] = servers[Number(process.env["VITEST_POOL_ID"] ?? 1) - 1] ?? servers[0];
