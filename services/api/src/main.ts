import { join } from "node:path";
import { openLogStore } from "@muster/logs";
import { prepareDatabase } from "@muster/store";
import closeWithGrace from "close-with-grace";
import { pino } from "pino";
import { createApi } from "./api.ts";
import { readConfig } from "./config.ts";

/** The API alone, over the database that DATABASE_URL names. */
const config = readConfig(process.env, process.argv.slice(2));
if (!config.ok) {
  process.stderr.write(`${config.problems.join("\n")}\n`);
  process.exit(2);
}
const logger = pino({
  level: config.logLevel,
  redact: ["req.headers.authorization", "headers.authorization", "token", "*.token", "*.password"],
  base: { service: "api" },
});
await prepareDatabase(config.databaseUrl).catch((error: unknown) => {
  logger.fatal({ err: error }, "the database can't be made ready");
  process.exit(1);
});
const api = await createApi({
  databaseUrl: config.databaseUrl,
  logs: openLogStore(config.logs),
  logger,
  dashboard: join(import.meta.dirname, "../../dashboard/dist"),
  gitHosts: config.gitHosts,
  ...(config.tls && { tls: config.tls }),
});
closeWithGrace({ delay: 10_000, logger }, async ({ err }) => {
  if (err) logger.error({ err }, "the API ends because of an error");
  await api.close();
});
logger.info({ address: await api.listen({ host: config.host, port: config.port }) }, "the API listens");
