import { chmodSync, existsSync, mkdirSync, openSync, readFileSync, unlinkSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { pino } from "pino";
import { Agent } from "./agent.ts";
import { agentConfig, type AgentConfig } from "./config.ts";
import { buildServer } from "./server.ts";
import { configHash, EXIT_LOCKED, socketPath } from "./start-agent.ts";

/* The agent process: `node main.ts CONFIG.json`. It ends only when told to, never with whoever started it. */

const EXIT_REFUSED = 69;

const configPath = process.argv[2];
const log = pino({ base: { pid: process.pid } });
if (configPath === undefined) {
  log.fatal("usage: node main.ts CONFIG.json");
  process.exit(64);
}

// modes are given where they matter; a stricter umask of whoever started Muster would lock workers out of their own folders
process.umask(0o022);

// what a newer version's supervisor asks for beyond what is known here can't be done, and is no reason to refuse the rest
const read = (): AgentConfig => agentConfig.strip().parse(JSON.parse(readFileSync(configPath, "utf8")));
let config = read();
mkdirSync(config.state_dir, { recursive: true, mode: 0o711 });
chmodSync(config.state_dir, 0o711);

// the lock lives as long as this process, however it ends; the descriptor is not inherited
const lock = openSync(join(config.state_dir, "lock"), "a", 0o600);
if (spawnSync("flock", ["-x", "-n", "3"], { stdio: ["ignore", "ignore", "ignore", lock] }).status !== 0) {
  log.error({ state_dir: config.state_dir }, "another agent keeps this state");
  process.exit(EXIT_LOCKED);
}
const refuse = join(config.state_dir, "refuse");
if (existsSync(refuse) && readFileSync(refuse, "utf8").split("\n").includes("*")) {
  log.error("this node was told to refuse agents");
  process.exit(EXIT_REFUSED);
}

const agent = await Agent.open(config, log);
const startedAt = new Date().toISOString();
let ending = false;
const server = buildServer(agent, {
  info: () => ({
    shard: config.shard,
    pid: process.pid,
    started_at: startedAt,
    nodes: config.nodes.length,
    config: configHash(config),
    workers: agent.ledger.workers.size,
    rss: process.memoryUsage.rss(),
  }),
  reload: () => {
    config = read();
    agent.reload(config);
  },
  shutdown: (kill) => {
    if (ending) return;
    ending = true;
    void server
      .close()
      .then(() => agent.close(kill))
      .then(
        () => process.exit(0),
        (error: unknown) => {
          log.fatal({ error }, "the end was not clean");
          process.exit(1);
        },
      );
  },
});
const socket = socketPath(config.state_dir);
mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
chmodSync(dirname(socket), 0o700);
if (existsSync(socket)) unlinkSync(socket);
await server.listen({ path: socket });
chmodSync(socket, 0o600);
log.info({ shard: config.shard, socket, nodes: config.nodes.length }, "ready");

// a closed terminal or a stopped control plane is no reason to leave the workers alone
for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.on(signal, () => log.info({ signal }, "kept on; POST /v1/shutdown ends the agent"));
