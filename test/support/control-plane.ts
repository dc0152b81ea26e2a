import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stopAgent } from "@muster/agent";
import { clientDefaultsFile } from "@muster/client";
import type { JobView, SubmittedJobSpec } from "@muster/model";
import pg from "pg";
import { descendants, endAll, isAlive, nothingLeft, signalAll } from "./processes.ts";
import { freePort } from "./free-ports.ts";

const MAIN = fileURLToPath(new URL("../../services/standalone/src/main.ts", import.meta.url));
const DEADLINE = 90_000;

export interface ControlPlaneOptions {
  /** The cluster as code. */
  cluster: string;
  /** An external database; without it the embedded one. */
  databaseUrl?: string;
}

/** The whole control plane as a process of its own, to be killed. What it leaves running is ended by `close`. */
export class ControlPlane {
  readonly dir = mkdtempSync(join(tmpdir(), "muster-crash-"));
  readonly stateDir = join(this.dir, "state");
  readonly #options: ControlPlaneOptions;
  #port = 0;
  #child: ChildProcess | undefined;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    chmodSync(this.dir, 0o755);
    writeFileSync(join(this.dir, "cluster.yaml"), options.cluster);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && isAlive(this.pid);
  }

  get databaseUrl(): string {
    if (this.#options.databaseUrl !== undefined) return this.#options.databaseUrl;
    const password = readFileSync(join(this.stateDir, "postgres", "password"), "utf8");
    const port = readFileSync(join(this.#data, "postmaster.pid"), "utf8").split("\n")[3];
    return `postgres://muster:${password}@127.0.0.1:${port}/postgres`;
  }

  get #data(): string {
    return join(this.stateDir, "postgres", "data");
  }

  /** Starts it and resolves when it is up; with a changed environment, also when it has already ended again. */
  async start(env: Record<string, string> = {}, nodeOptions: string[] = []): Promise<void> {
    this.#port ||= await freePort();
    const before = existsSync(this.#log) ? readFileSync(this.#log, "utf8").length : 0;
    const log = openSync(this.#log, "a");
    const words = [
      ...nodeOptions,
      "--disable-warning=ExperimentalWarning",
      MAIN,
      "--state-dir",
      this.stateDir,
      "--cluster",
      join(this.dir, "cluster.yaml"),
      "--port",
      String(this.#port),
      "--log-level",
      "warn",
    ];
    const child = spawn(process.execPath, words, {
      stdio: ["ignore", log, log],
      env: { ...process.env, ...(this.#options.databaseUrl !== undefined && { DATABASE_URL: this.#options.databaseUrl }), ...env },
    });
    this.#child = child;
    for (const end = Date.now() + DEADLINE; ; await delay(50)) {
      if (!isAlive(this.pid)) {
        if (Object.keys(env).length > 0) return;
        throw new Error(`the control plane ended while starting: ${this.log()}`);
      }
      if (readFileSync(this.#log, "utf8").slice(before).includes("Muster is up")) return;
      if (Date.now() > end) throw new Error(`the control plane is not ready: ${this.log()}`);
    }
  }

  get #log(): string {
    return join(this.dir, "control-plane.log");
  }

  log(): string {
    return readFileSync(this.#log, "utf8").slice(-4000);
  }

  /** SIGKILL to the services; to the embedded database and all its processes too where asked. */
  async kill({ database = false }: { database?: boolean } = {}): Promise<void> {
    const pids = [this.pid, ...(database ? this.#databasePids() : [])];
    signalAll(pids, "SIGKILL");
    for (const end = Date.now() + DEADLINE; pids.some(isAlive); await delay(10)) if (Date.now() > end) throw new Error("still alive after SIGKILL");
  }

  /** A clean end of the services and their embedded database; workers go on. */
  async stop(): Promise<void> {
    signalAll([this.pid], "SIGTERM");
    for (const end = Date.now() + DEADLINE; isAlive(this.pid); await delay(20)) if (Date.now() > end) throw new Error(`did not end: ${this.log()}`);
  }

  /** The embedded database's first process. */
  get databasePid(): number {
    return Number(readFileSync(join(this.#data, "postmaster.pid"), "utf8").split("\n")[0]);
  }

  #databasePids(): number[] {
    try {
      const postmaster = this.databasePid;
      return isAlive(postmaster) ? [postmaster, ...descendants(postmaster)] : [];
    } catch {
      return [];
    }
  }

  /** Copies the database's files; only while it is stopped. */
  backUp(): string {
    const backup = join(this.dir, "backup");
    execFileSync("cp", ["-a", this.#data, backup]);
    return backup;
  }

  restore(backup: string): void {
    rmSync(this.#data, { recursive: true, force: true });
    // with its owner and modes, which the server insists on
    execFileSync("cp", ["-a", backup, this.#data]);
  }

  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: unknown }> {
    const { token } = JSON.parse(readFileSync(clientDefaultsFile(this.stateDir), "utf8")) as { token: string };
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      signal: AbortSignal.timeout(20_000),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : text };
  }

  /** Submits once; @throws where the answer is not a job */
  async submit(spec: Partial<SubmittedJobSpec>, key?: string): Promise<JobView> {
    const { status, body } = await this.request("POST", "/v1/jobs", { name: "test", ...spec }, key === undefined ? {} : { "idempotency-key": key });
    if (status !== 201) throw new Error(`submission: ${status} ${JSON.stringify(body)}`);
    return body as JobView;
  }

  async job(id: string): Promise<JobView> {
    const { status, body } = await this.request("GET", `/v1/jobs/${id}`);
    if (status !== 200) throw new Error(`job: ${status} ${JSON.stringify(body)}`);
    return body as JobView;
  }

  async until(id: string, condition: (job: JobView) => boolean, within = DEADLINE): Promise<JobView> {
    let last: JobView | undefined;
    for (const end = Date.now() + within; Date.now() < end; await delay(50)) {
      last = await this.job(id).catch(() => last);
      if (last && condition(last)) return last;
    }
    const events = await this.query("SELECT kind, attempt, data FROM events WHERE job = $1 ORDER BY seq", [id]).catch(() => []);
    throw new Error(`gave up waiting for ${id}: ${JSON.stringify({ last, events })}; ${this.log()}`);
  }

  untilState(id: string, ...states: string[]): Promise<JobView> {
    return this.until(id, (job) => states.includes(job.state));
  }

  async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.databaseUrl });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query<T>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Ends all that it started, and fails where something is left. */
  async close(): Promise<void> {
    const agents = join(this.stateDir, "agents");
    await endAll([
      async () => {
        if (!this.running) return;
        await this.stop().catch(async (error: unknown) => {
          await this.kill();
          throw error;
        });
      },
      async () => {
        for (const shard of existsSync(agents) ? readdirSync(agents) : []) await stopAgent(join(agents, shard), true);
      },
      async () => signalAll(this.#databasePids(), "SIGKILL"),
      () => nothingLeft(this.dir),
    ]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Pools of one accelerator each, with nodes of eight devices: `{h800: 2}`. */
export function clusterOf(pools: Record<string, number>): string {
  return Object.entries(pools)
    .flatMap(([pool, count]) => [
      `version: 1\nkind: pool\nname: ${pool}\nvendor: nvidia\naccelerator: ${pool}\nengine: local\n`,
      ...Array.from(
        { length: count },
        (_, index) =>
          `version: 1\nkind: node\nname: ${pool}-${index}\npool: ${pool}\nfabric: [zone, spine, leaf, ${pool}-${index}]\ndevices: 8\ncpus: 64\nmemory: 64Gi\n`,
      ),
    ])
    .join("---\n");
}
