import { isIP } from "node:net";
import { isAbsolute } from "node:path";
import { readGitHosts } from "./submit/git-hosts.ts";

export type Config =
  | {
      ok: true;
      databaseUrl: string;
      host: string;
      port: number;
      tls: { certFile: string; keyFile: string } | undefined;
      logs: string;
      logLevel: string;
      gitHosts: string[];
    }
  | { ok: false; problems: string[] };

const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];

/** Reads the environment and the words after the command; says everything that is wrong with them at once. */
export function readConfig(env: Readonly<Record<string, string | undefined>>, words: readonly string[]): Config {
  const problems: string[] = [];
  const unknown = words.filter((word) => word !== "--insecure");
  if (unknown.length > 0) problems.push(`unknown: ${unknown.join(" ")}; the only option is --insecure`);
  const databaseUrl = env["DATABASE_URL"] ?? "";
  if (!/^postgres(ql)?:\/\//.test(databaseUrl)) problems.push("DATABASE_URL is missing or no postgres:// URL");
  const host = env["MUSTER_HOST"] ?? "127.0.0.1";
  const port = Number(env["MUSTER_PORT"] ?? 7380);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) problems.push("MUSTER_PORT: expected a port from 0 to 65535");
  const [certFile, keyFile] = [env["MUSTER_TLS_CERT"], env["MUSTER_TLS_KEY"]];
  if ((certFile === undefined) !== (keyFile === undefined)) problems.push("MUSTER_TLS_CERT and MUSTER_TLS_KEY go together");
  const tls = certFile !== undefined && keyFile !== undefined ? { certFile, keyFile } : undefined;
  if (!tls && !isLoopback(host) && !words.includes("--insecure")) {
    problems.push(
      `MUSTER_HOST=${host} is reached from beyond this machine, and tokens would travel in clear text: set MUSTER_TLS_CERT and MUSTER_TLS_KEY, or pass --insecure`,
    );
  }
  const logLevel = env["MUSTER_LOG_LEVEL"] ?? "info";
  if (!LEVELS.includes(logLevel)) problems.push(`MUSTER_LOG_LEVEL: expected one of ${LEVELS.join(", ")}`);
  const logs = env["MUSTER_LOG_STORE"] ?? "";
  if (!isAbsolute(logs) && !logs.startsWith("s3://"))
    problems.push("MUSTER_LOG_STORE: expected the absolute path of the folder that keeps job logs, or s3://BUCKET/PREFIX; the same for all services");
  let gitHosts: string[] = [];
  try {
    gitHosts = readGitHosts(env["MUSTER_GIT_HOSTS"]);
  } catch (error) {
    problems.push((error as Error).message);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, databaseUrl, host, port, tls, logs, logLevel, gitHosts };
}

/** Addresses that only this machine reaches. A name other than localhost may be anything. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
