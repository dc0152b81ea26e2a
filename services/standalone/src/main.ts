import closeWithGrace from "close-with-grace";
import { pino } from "pino";
import { parseArguments } from "./arguments.ts";
import { startStandalone } from "./standalone.ts";

const options = parseArguments(process.argv.slice(2), process.env);
const logger = pino(
  { level: options.logLevel, redact: ["token", "*.token", "authorization", "*.authorization", "databaseUrl"] },
  process.stdout.isTTY ? (await import("pino-pretty")).default({ ignore: "pid,hostname", translateTime: "HH:MM:ss.l" }) : process.stdout,
);

const muster = await startStandalone({ ...options, logger }).catch((error: unknown) => {
  logger.fatal({ err: error }, "Muster did not start");
  process.exit(1);
});
closeWithGrace({ delay: 20_000, logger: false }, async ({ err }) => {
  if (err) logger.error({ err }, "ending because of an error");
  await muster.stop();
});

// the link holds the token behind '#', which browsers send to nobody: only for a person at this terminal
const link = process.stdout.isTTY ? `${muster.url}/#token=${muster.token}` : muster.url;
process.stderr.write(`\nMuster is up.\n  dashboard  ${link}\n  API        ${muster.url}/docs\n  command    npx muster node list\n\n`);
