import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { detectDevices, stopAgent } from "@muster/agent";
import { createApi, type Limits } from "@muster/api";
import { clientDefaultsFile, MusterClient, stateDir as defaultStateDir } from "@muster/client";
import { openLogStore } from "@muster/logs";
import { createScheduler } from "@muster/scheduler";
import { createPool, prepareDatabase, startEmbeddedPostgres } from "@muster/store";
import { createSupervisor, kubernetesProvider, localProvider, readRepairHooks, type LocalProviderOptions } from "@muster/supervisor";
import type { Logger } from "pino";
import { claimStateDir } from "./claim.ts";
import { applyMissing, readClusterFile } from "./cluster-file.ts";
import { hostCluster } from "./host-cluster.ts";
import { localToken } from "./local-token.ts";

const DEMO_CLUSTER = fileURLToPath(new URL("demo/cluster.yaml", import.meta.url));
const DASHBOARD = fileURLToPath(new URL("../../dashboard/dist", import.meta.url));
export const DEFAULT_PORT = 7380;

export interface StandaloneOptions {
  logger: Logger;
  /** Database, agents' journals, logs, token; by default that of the user. */
  stateDir?: string;
  host?: string;
  /** 0: any free one. */
  port?: number;
  tls?: { certFile: string; keyFile: string };
  /** Three pools of different makers, simulated on this machine. */
  demoCluster?: boolean;
  /** A cluster described as code, declared at first start. */
  clusterFile?: string;
  /** An external server; without it the embedded one starts. */
  databaseUrl?: string;
  /** Where job logs are kept: a folder or s3://BUCKET/PREFIX; by default a folder of the state directory. */
  logStore?: string;
  limits?: Partial<Limits>;
  /** Hosts within the operator's own network that `source.git` may name. */
  gitHosts?: readonly string[];
  /** A file of repair hooks. */
  repairHooks?: string;
  agent?: LocalProviderOptions["agent"];
}

export interface Standalone {
  url: string;
  token: string;
  databaseUrl: string;
  stateDir: string;
  /** Pid of the embedded database, where it is ours. */
  databasePid: number | undefined;
  client: MusterClient;
  /** Ends the control plane. Workers and their agents live on, to be adopted at the next start, unless they are to be killed. */
  stop(options?: { workers?: "keep" | "kill" }): Promise<void>;
}

/** The whole control plane in this process. What an earlier one left running over the same state directory is joined. */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const { logger } = options;
  const stateDir = options.stateDir ?? defaultStateDir();
  mkdirSync(stateDir, { recursive: true });
  // workers and the database run as other users: they must get through, though they can list nothing
  await chmod(stateDir, 0o711);
  const postgres = options.databaseUrl === undefined ? await startEmbeddedPostgres({ dir: join(stateDir, "postgres") }) : undefined;
  const databaseUrl = postgres?.url ?? options.databaseUrl ?? "";
  const claim = postgres && (await claimStateDir(databaseUrl, stateDir));
  const undo: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  // only whoever has the claim ends the database, and last of all
  if (postgres) undo.push(() => postgres.stop());
  if (claim) undo.push(claim);
  try {
    await prepareDatabase(databaseUrl);
    const pool = createPool(databaseUrl, "standalone", { max: 4 });
    undo.push(() => pool.end());
    const logs = openLogStore(options.logStore ?? join(stateDir, "logs"));
    undo.push(() => logs.close());
    const api = await createApi({
      databaseUrl,
      logs,
      logger: logger.child({ service: "api" }),
      ...(options.tls && { tls: options.tls }),
      ...(existsSync(DASHBOARD) && { dashboard: DASHBOARD }),
      ...(options.limits && { limits: options.limits }),
      ...(options.gitHosts && { gitHosts: options.gitHosts }),
    });
    undo.push(() => api.close());
    const url = await api.listen({ host: options.host ?? "127.0.0.1", port: options.port ?? DEFAULT_PORT });
    const token = await localToken(pool, clientDefaultsFile(stateDir), url);
    const client = new MusterClient({ url, token });
    if (options.demoCluster) await applyMissing(client, readClusterFile(DEMO_CLUSTER));
    if (options.clusterFile !== undefined) await applyMissing(client, readClusterFile(options.clusterFile));
    await applyMissing(client, hostCluster(await detectDevices()));
    const scheduler = createScheduler({ databaseUrl, logger: logger.child({ service: "scheduler" }), recordings: { folder: join(stateDir, "recordings") } });
    undo.push(() => scheduler.close());
    await scheduler.start();
    const agentsDir = join(stateDir, "agents");
    const kubernetes = kubernetesProvider({ pool, logger: logger.child({ service: "supervisor" }) });
    const supervisor = await createSupervisor({
      ...(options.repairHooks !== undefined && { repairHooks: readRepairHooks(options.repairHooks) }),
      databaseUrl,
      logger: logger.child({ service: "supervisor" }),
      logs,
      apiUrl: url,
      engines: { kubernetes, local: localProvider({ pool, agentsDir, agent: { secrets_dir: join(stateDir, "secrets"), ...options.agent } }) },
    });
    undo.push(() => kubernetes.close());
    undo.push(() => supervisor.close());
    return {
      url,
      token,
      databaseUrl,
      stateDir,
      databasePid: postgres?.pid,
      client,
      async stop({ workers = "keep" } = {}) {
        if (workers === "kill") {
          // first the control plane's hands, so that nobody starts an agent again; the database last
          await supervisor.close();
          undo.splice(undo.length - 1, 1);
          for (const shard of existsSync(agentsDir) ? readdirSync(agentsDir) : []) await stopAgent(join(agentsDir, shard), true);
        }
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
