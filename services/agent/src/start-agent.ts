import { createHash } from "node:crypto";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { agentConfig, type AgentConfig, type AgentConfigInput } from "./config.ts";

/* Starting an agent, or finding the one that is there already. */

/** Another agent keeps the state. */
export const EXIT_LOCKED = 75;

/** An agent that was started ended again, though no other one keeps its state. */
export class AgentEnded extends Error {
  override name = "AgentEnded";
}

const START_LIMIT_MS = 30_000;
const SOCKET_PATH_LIMIT = 100;

export interface RunningAgent {
  socket: string;
  pid: number;
  /** Whether this call started it. */
  started: boolean;
}

/** Where the agent of a state directory answers. Unix socket paths must be short, so a deep directory gets one in /tmp. */
export function socketPath(stateDir: string): string {
  const own = join(stateDir, "socket", "agent.sock");
  if (own.length <= SOCKET_PATH_LIMIT) return own;
  return join("/tmp", `muster-${process.getuid?.() ?? 0}-${createHash("sha256").update(stateDir).digest("hex").slice(0, 12)}`, "agent.sock");
}

export function configHash(config: AgentConfig): string {
  return createHash("sha256").update(JSON.stringify(config)).digest("hex").slice(0, 16);
}

/**
 * Starts an agent over `state_dir`, detached, and resolves when it answers. One that runs there already is used, and told
 * to read the configuration again if it changed. Rejects with the end of the agent's log where it doesn't come up.
 */
export async function startAgent(input: AgentConfigInput): Promise<RunningAgent> {
  const config = agentConfig.parse(input);
  mkdirSync(config.state_dir, { recursive: true, mode: 0o711 });
  chmodSync(config.state_dir, 0o711);
  const configPath = join(config.state_dir, "config.json");
  // as asked for, without defaults: an agent of the version before knows none of those that are new
  writeFileSync(`${configPath}.next`, JSON.stringify(input, null, 2), { mode: 0o600 });
  renameSync(`${configPath}.next`, configPath);
  const socket = socketPath(config.state_dir);
  const there = await health(socket);
  if (there) {
    if (there.config !== configHash(config)) await call(socket, "POST", "/v1/reload");
    return { socket, pid: there.pid, started: false };
  }
  const logPath = join(config.state_dir, "agent.log");
  const log = openSync(logPath, "a", 0o600);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", fileURLToPath(new URL("main.ts", import.meta.url)), configPath], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
  });
  closeSync(log);
  let ended: string | undefined;
  let locked = false;
  child.on("error", (error) => {
    ended = error.message;
  });
  child.on("exit", (code, signal) => {
    locked = code === EXIT_LOCKED;
    ended = `ended with ${signal ?? `code ${code}`}`;
  });
  child.unref();
  for (const deadline = Date.now() + START_LIMIT_MS; ; ) {
    const answer = await health(socket);
    // another starter may have been faster: then its agent is the one
    if (answer) return { socket, pid: answer.pid, started: answer.pid === child.pid };
    if (ended !== undefined || Date.now() > deadline) {
      const message = `the agent of ${config.state_dir} did not come up (${ended ?? "no answer"}): ${readFileSync(logPath, "utf8").slice(-1000)}`;
      throw ended !== undefined && !locked ? new AgentEnded(message) : new Error(message);
    }
    await delay(20);
  }
}

/** Ends the agent of a state directory and resolves when it is gone; `kill` ends its workers first. One that is slow to answer is asked again. */
export async function stopAgent(stateDir: string, kill: boolean): Promise<void> {
  const socket = socketPath(stateDir);
  while (isKept(stateDir)) {
    // what it says doesn't matter: its lock tells when it is gone
    await call(socket, "POST", "/v1/shutdown", { kill }).catch(() => {});
    await delay(50);
  }
}

/** Whether an agent keeps this state: it holds the lock for as long as it lives. */
function isKept(stateDir: string): boolean {
  const lock = join(stateDir, "lock");
  if (!existsSync(lock)) return false;
  const descriptor = openSync(lock, "r");
  try {
    return spawnSync("flock", ["--shared", "--nonblock", "3"], { stdio: ["ignore", "ignore", "ignore", descriptor] }).status !== 0;
  } finally {
    closeSync(descriptor);
  }
}

async function health(socket: string): Promise<{ pid: number; config: string } | undefined> {
  try {
    return JSON.parse(await call(socket, "GET", "/v1/health")) as { pid: number; config: string };
  } catch {
    return undefined;
  }
}

function call(socketPath: string, method: string, path: string, body?: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, timeout: 5000, headers: body === undefined ? {} : { "content-type": "application/json" } }, (response) => {
      let text = "";
      response.on("data", (data: Buffer) => {
        text += data.toString("utf8");
      });
      response.on("end", () => ((response.statusCode ?? 500) < 300 ? resolve(text) : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))));
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer")));
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
