import { openLogStore } from "@muster/logs";
import type { RepairHook } from "@muster/model";
import { createPool, prepareDatabase } from "@muster/store";
import closeWithGrace from "close-with-grace";
import { pino } from "pino";
import { readConfig } from "./config.ts";
import { createHttp } from "./http.ts";
import { kubernetesProvider } from "./kubernetes-provider.ts";
import { localProvider } from "./local-provider.ts";
import { readRepairHooks } from "./repairs/hooks.ts";
import { createSupervisor } from "./supervisor.ts";

/** A supervisor alone, beside others on the database that DATABASE_URL names: for Kubernetes clusters and, where MUSTER_AGENTS_DIR is set, the agents of this machine. */
const config = readConfig(process.env);
if ("problems" in config) {
  process.stderr.write(`${config.problems.join("\n")}\n`);
  process.exit(2);
}
let repairHooks: RepairHook[] = [];
try {
  if (config.repairHooks !== undefined) repairHooks = readRepairHooks(config.repairHooks);
} catch (error) {
  process.stderr.write(`MUSTER_REPAIR_HOOKS: ${(error as Error).message}\n`);
  process.exit(2);
}
const logger = pino({ name: "supervisor", level: config.logLevel });
await prepareDatabase(config.databaseUrl).catch((error: unknown) => {
  logger.fatal({ err: error }, "the database can't be made ready");
  process.exit(1);
});
const pool = createPool(config.databaseUrl, "supervisor-engines", { max: 3 });
const logs = openLogStore(config.logs);
const kubernetes = kubernetesProvider({ pool, logger });
const supervisor = await createSupervisor({
  repairHooks,
  databaseUrl: config.databaseUrl,
  logger,
  logs,
  apiUrl: config.apiUrl,
  engines: {
    ...(config.agentsDir !== undefined && {
      local: localProvider({
        pool,
        agentsDir: config.agentsDir,
        agent: {
          ...(config.secretsDir !== undefined && { secrets_dir: config.secretsDir }),
          ...(config.kernelLog !== undefined && { kernel_log: config.kernelLog }),
          ...(config.checkpointRoot !== undefined && { checkpoint_root: config.checkpointRoot }),
        },
      }),
    }),
    kubernetes,
  },
});
if (config.agentsDir === undefined) logger.info("MUSTER_AGENTS_DIR is not set: nodes of the local engine are left to other supervisors");
const http = createHttp(pool, supervisor, kubernetes);
closeWithGrace({ delay: 15_000, logger: false }, async ({ err }) => {
  if (err) logger.fatal({ err }, "ending after an error");
  await supervisor.close();
  await kubernetes.close();
  await http.close();
  await logs.close();
  await pool.end();
});
logger.info({ address: await http.listen({ host: config.host, port: config.port }), id: supervisor.id }, "supervisor started");
