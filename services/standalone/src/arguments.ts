import { isAbsolute } from "node:path";
import { parseArgs } from "node:util";
import { readGitHosts } from "@muster/api";
import { DEFAULT_PORT, type StandaloneOptions } from "./standalone.ts";

export type Arguments = Omit<StandaloneOptions, "logger"> & { logLevel: string };

const LOOPBACK = /^(127\.|::1$|localhost$)/;

/** The command line and the environment of `npm start`. Ends the process with a clear line where they make no sense. */
export function parseArguments(argv: string[], env: Readonly<Record<string, string | undefined>>): Arguments {
  const { values } = parseArgs({
    args: argv,
    options: {
      host: { type: "string", default: env["MUSTER_HOST"] ?? "127.0.0.1" },
      port: { type: "string", default: env["MUSTER_PORT"] ?? String(DEFAULT_PORT) },
      "state-dir": { type: "string" },
      cluster: { type: "string" },
      "no-demo": { type: "boolean", default: false },
      insecure: { type: "boolean", default: false },
      "log-level": { type: "string", default: env["MUSTER_LOG_LEVEL"] ?? "info" },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`--port: expected a number from 0 to 65535, not ${values.port}`);
  const [certFile, keyFile] = [env["MUSTER_TLS_CERT"], env["MUSTER_TLS_KEY"]];
  if (!LOOPBACK.test(values.host) && !(certFile && keyFile) && !values.insecure) {
    throw new Error(`${values.host} can be reached from other machines: set MUSTER_TLS_CERT and MUSTER_TLS_KEY, or say --insecure to send tokens in the clear`);
  }
  const checkpoints = env["MUSTER_CHECKPOINT_ROOT"];
  if (checkpoints !== undefined && !isAbsolute(checkpoints))
    throw new Error(`MUSTER_CHECKPOINT_ROOT: expected the absolute path of a folder, not ${JSON.stringify(checkpoints)}`);
  return {
    host: values.host,
    port,
    demoCluster: !values["no-demo"] && values.cluster === undefined,
    logLevel: values["log-level"],
    gitHosts: readGitHosts(env["MUSTER_GIT_HOSTS"]),
    ...(values["state-dir"] !== undefined && { stateDir: values["state-dir"] }),
    ...(values.cluster !== undefined && { clusterFile: values.cluster }),
    ...(env["DATABASE_URL"] && { databaseUrl: env["DATABASE_URL"] }),
    ...(env["MUSTER_LOG_STORE"] && { logStore: env["MUSTER_LOG_STORE"] }),
    ...(env["MUSTER_REPAIR_HOOKS"] && { repairHooks: env["MUSTER_REPAIR_HOOKS"] }),
    ...(checkpoints !== undefined && { agent: { checkpoint_root: checkpoints } }),
    ...(certFile && keyFile && { tls: { certFile, keyFile } }),
  };
}
