import { prepareDatabase } from "@muster/store";
import closeWithGrace from "close-with-grace";
import { pino } from "pino";
import { createScheduler } from "./scheduler.ts";

const logger = pino({ name: "scheduler" });
const databaseUrl = process.env["DATABASE_URL"];
if (!databaseUrl) {
  logger.fatal("DATABASE_URL is missing: give the URL of the Postgres that the other services use");
  process.exit(2);
}
await prepareDatabase(databaseUrl).catch((error: unknown) => {
  logger.fatal({ err: error }, "the database can't be made ready");
  process.exit(1);
});
const scheduler = createScheduler({
  databaseUrl,
  logger,
  host: process.env["MUSTER_SCHEDULER_HOST"] ?? "127.0.0.1",
  port: Number(process.env["MUSTER_SCHEDULER_PORT"] ?? 0),
  processMetrics: true,
  ...(process.env["MUSTER_RECORDINGS"] && { recordings: { folder: process.env["MUSTER_RECORDINGS"] } }),
});
closeWithGrace({ delay: 10_000 }, async ({ err }) => {
  if (err) logger.fatal({ err }, "ending after an error");
  await scheduler.close();
});
await scheduler.start();
logger.info({ address: scheduler.address }, "scheduler started");
