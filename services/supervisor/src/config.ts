import { isAbsolute } from "node:path";

export interface Config {
  databaseUrl: string;
  apiUrl: string;
  /** Where this machine's agents keep their state; undefined: it has none, and all nodes are of Kubernetes clusters. */
  agentsDir: string | undefined;
  /** The folder of what jobs name in `secrets`, as `<project>/<name>`; undefined: they can name none. */
  secretsDir: string | undefined;
  /** Where jobs' checkpoints go that name no place; one that all nodes share. */
  checkpointRoot: string | undefined;
  /** A folder, or s3://BUCKET/PREFIX. */
  logs: string;
  /** The kernel's log of this machine, for an agent that keeps it as its one node; undefined: it isn't read. */
  kernelLog: string | undefined;
  /** A file of repair hooks; undefined: there are none. */
  repairHooks: string | undefined;
  host: string;
  port: number;
  logLevel: string;
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
    secretsDir: env["MUSTER_SECRETS_DIR"] === undefined ? undefined : folder("MUSTER_SECRETS_DIR", "the folder of what jobs name in secrets"),
    kernelLog: env["MUSTER_KERNEL_LOG"] === undefined ? undefined : folder("MUSTER_KERNEL_LOG", "the kernel's log, such as /dev/kmsg"),
    repairHooks: env["MUSTER_REPAIR_HOOKS"] === undefined ? undefined : folder("MUSTER_REPAIR_HOOKS", "the file of repair hooks"),
    checkpointRoot:
      env["MUSTER_CHECKPOINT_ROOT"] === undefined ? undefined : folder("MUSTER_CHECKPOINT_ROOT", "a folder for jobs' checkpoints that all nodes share"),
    agentsDir: env["MUSTER_AGENTS_DIR"] === undefined ? undefined : folder("MUSTER_AGENTS_DIR", "the folder that keeps this machine's agents"),
    logs: env["MUSTER_LOG_STORE"]?.startsWith("s3://")
      ? env["MUSTER_LOG_STORE"]
      : folder("MUSTER_LOG_STORE", "the folder that keeps job logs, or s3://BUCKET/PREFIX; the same for all services"),
    host: env["MUSTER_SUPERVISOR_HOST"] ?? "127.0.0.1",
    port: number("MUSTER_SUPERVISOR_PORT", 0, 0, 65_535),
    logLevel: env["MUSTER_LOG_LEVEL"] ?? "info",
  };
  return problems.length > 0 ? { problems } : config;
}
