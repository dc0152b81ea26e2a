import { isAbsolute } from "node:path";
import { SILENCE_LIMITS, type SilenceLimits } from "@muster/lifecycle";

export interface Config {
  databaseUrl: string;
  apiUrl: string;
  agentsDir: string;
  logDir: string;
  host: string;
  port: number;
  logLevel: string;
  silence: Pick<SilenceLimits, "suspect" | "lost">;
}

/** The environment of a supervisor that runs alone. @returns the configuration, or everything that is wrong with it */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config | { problems: string[] } {
  const problems: string[] = [];
  const url = (name: string, protocols: RegExp, what: string): string => {
    const value = env[name] ?? "";
    if (!protocols.test(value)) problems.push(`${name}: expected ${what}`);
    return value;
  };
  const folder = (name: string, what: string): string => {
    const value = env[name] ?? "";
    if (!isAbsolute(value)) problems.push(`${name}: expected the absolute path of ${what}`);
    return value;
  };
  const number = (name: string, otherwise: number, least: number, most: number): number => {
    const value = Number(env[name] ?? otherwise);
    if (!(value >= least && value <= most)) problems.push(`${name}: expected a number from ${least} to ${most}`);
    return value;
  };
  const config: Config = {
    databaseUrl: url("DATABASE_URL", /^postgres(ql)?:\/\//, "the postgres:// URL that the other services use"),
    apiUrl: url("MUSTER_API_URL", /^https?:\/\//, "the http(s):// URL under which workers reach the API"),
    agentsDir: folder("MUSTER_AGENTS_DIR", "the folder that keeps this machine's agents"),
    logDir: folder("MUSTER_LOG_DIR", "the folder that keeps job logs"),
    host: env["MUSTER_SUPERVISOR_HOST"] ?? "127.0.0.1",
    port: number("MUSTER_SUPERVISOR_PORT", 0, 0, 65_535),
    logLevel: env["MUSTER_LOG_LEVEL"] ?? "info",
    silence: {
      suspect: number("MUSTER_SUSPECT_AFTER", SILENCE_LIMITS.suspect / 1000, 0.5, 3600) * 1000,
      lost: number("MUSTER_LOST_AFTER", SILENCE_LIMITS.lost / 1000, 0.5, 86_400) * 1000,
    },
  };
  if (config.silence.lost < config.silence.suspect) problems.push("MUSTER_LOST_AFTER: expected at least MUSTER_SUSPECT_AFTER");
  return problems.length > 0 ? { problems } : config;
}
