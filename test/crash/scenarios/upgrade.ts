import { randomBytes } from "node:crypto";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stopAgent } from "@muster/agent";
import { migrateDownTo, onServer } from "@muster/store/testing";
import pg from "pg";
import { commandOf, descendants, doubles, nothingLeft, processesOf } from "../../support/processes.ts";
import { hasRelease, programBefore, RELEASE, releasedProgram } from "../../support/program.ts";
import { Service, type ServiceName } from "../../support/service.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SERVICES: readonly ServiceName[] = ["api", "scheduler", "supervisor"];
const DEVICES = 8;

export interface UpgradeFigures {
  jobs: number;
  /** The released version itself, or this program with the released migrations alone. */
  before: "released" | "simulated";
  /** Changes of version under the running jobs. */
  changes: number;
  /** Migrations that the version before doesn't know. */
  added: number;
  restarted: number;
}

/**
 * Jobs run on while the services are replaced by those of the next version, go back to the version before, and forward again: each
 * time the new ones start beside the old ones, as a rolling update does it. After each change another job must start and end.
 */
export async function runUpgrade(count: number, { released = hasRelease() } = {}): Promise<UpgradeFigures> {
  const installation = await Installation.create();
  const { dir } = installation;
  const file = join(dir, "end");
  try {
    const before = released ? releasedProgram(join(dir, "before")) : programBefore(join(dir, "before"), RELEASE.migrations);
    // today's code can't write rows of yesterday's schema: then the schema goes back below them
    await installation.start(released ? before : ROOT);
    await installation.declare(Math.ceil((count + 1) / DEVICES));
    const run = ["sh", "-c", `i=0; until [ -e ${file} ] || [ $i = 1800 ]; do i=$((i+1)); sleep 1; done`];
    const jobs = await Promise.all(Array.from({ length: count }, (_, index) => installation.submit(`job-${index}`, run)));
    await installation.until(jobs, "running");
    // the loop itself: its sleeps come and go, each a copy of the loop until it has become one
    const loops = (job: string): string => {
      const shells = processesOf(job).filter((pid) => commandOf(pid)[0] === "sh");
      const copies = new Set(shells.flatMap(descendants));
      return shells.filter((pid) => !copies.has(pid)).join();
    };
    const first = jobs.map(loops);
    if (!released) {
      await installation.stop();
      await migrateDownTo(installation.url, RELEASE.migrations);
    }
    const wrong: string[] = [];
    const versions = [ROOT, before, ROOT];
    for (const [index, version] of versions.entries()) {
      await installation.replace(version);
      await installation.until([await installation.submit(`probe-${index}`, ["true"])], "succeeded");
      await installation.until(jobs, "running");
      wrong.push(
        ...doubles(new Set(jobs)),
        ...jobs.filter((job, at) => first[at] === "" || loops(job) !== first[at]).map((job) => `${job} has other processes`),
      );
    }
    writeFileSync(file, "");
    await installation.until(jobs, "succeeded");
    const attempts = await installation.query<{ id: string; attempt: number }>("SELECT id, attempt FROM jobs WHERE attempt <> 1");
    wrong.push(...attempts.map((job) => JSON.stringify(job)));
    if (attempts.length > 0) {
      const told = "SELECT kind, attempt, node, actor, data FROM events WHERE job = $1 OR (job IS NULL AND node IS NOT NULL) ORDER BY seq DESC LIMIT 40";
      wrong.push(JSON.stringify(await installation.query(told, [attempts[0]?.id])));
    }
    if (wrong.length > 0) throw new Error([...new Set(wrong)].slice(0, 20).join("\n"));
    const [known] = await installation.query<{ added: number }>("SELECT count(*)::int - $1 AS added FROM migration_hashes", [RELEASE.migrations]);
    return { jobs: count, before: released ? "released" : "simulated", changes: versions.length, added: known?.added ?? 0, restarted: attempts.length };
  } finally {
    await installation.close();
  }
}

/** One of each service on a database that was empty, of whichever version. */
class Installation {
  readonly dir = mkdtempSync(join(tmpdir(), "muster-upgrade-"));
  readonly url: string;
  readonly #name: string;
  readonly #env: Record<string, string>;
  #services: Service[] = [];
  #api = "";
  #token = "";

  static async create(): Promise<Installation> {
    const name = `upgrade_${process.pid}_${randomBytes(4).toString("hex")}`;
    await onServer(process.env["MUSTER_TEST_DATABASE_URL"] ?? "", `CREATE DATABASE ${name}`);
    return new Installation(name);
  }

  private constructor(name: string) {
    this.#name = name;
    chmodSync(this.dir, 0o755);
    this.url = Object.assign(new URL(process.env["MUSTER_TEST_DATABASE_URL"] ?? ""), { pathname: `/${name}` }).href;
    this.#env = { DATABASE_URL: this.url, MUSTER_LOG_STORE: join(this.dir, "logs"), MUSTER_AGENTS_DIR: join(this.dir, "agents"), MUSTER_LOG_LEVEL: "info" };
  }

  async start(root: string): Promise<void> {
    const api = new Service("api", { ...this.#env, MUSTER_PORT: "0" }, root);
    this.#services.push(api);
    this.#api = await api.says(/"address":"([^"]+)"/);
    const others = SERVICES.slice(1).map((name) => new Service(name, { ...this.#env, MUSTER_API_URL: this.#api }, root));
    this.#services.push(...others);
    await Promise.all(others.map((service) => service.ready()));
    this.#token ||= this.#makeToken(root);
  }

  #makeToken(root: string): string {
    const words = [join(root, "services/api/src/create-token.ts"), "--subject", "root", "--role", "admin"];
    const made = spawnSync(process.execPath, words, { env: { PATH: process.env["PATH"], DATABASE_URL: this.url }, encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
    return made.stdout.trim();
  }

  async stop(): Promise<void> {
    const codes = await Promise.all(this.#services.splice(0).map((service) => service.stop()));
    if (codes.some((code) => code !== 0)) throw new Error(`services ended with ${codes.join(", ")}`);
  }

  /** The services of another version start beside those that run, which end once the others are ready. */
  async replace(root: string): Promise<void> {
    const old = [...this.#services];
    await this.start(root);
    const codes = await Promise.all(old.map((service) => service.stop()));
    this.#services = this.#services.filter((service) => !old.includes(service));
    if (codes.some((code) => code !== 0))
      throw new Error(`services ended with ${codes.join(", ")}: ${old.map((service) => service.output.slice(-1000)).join("\n")}`);
  }

  async declare(nodes: number): Promise<void> {
    await this.#send("PUT", "/v1/pools/h800", { vendor: "nvidia", accelerator: "h800", name: "h800" });
    for (let index = 0; index < nodes; index++) {
      // of its own: other tests on this machine end what runs on nodes of their names
      const name = `${this.#name.replaceAll("_", "-")}-${index}`;
      await this.#send("PUT", `/v1/nodes/${name}`, { name, pool: "h800", devices: DEVICES, cpus: 64, memory: "64Gi" });
    }
  }

  async submit(name: string, run: string[]): Promise<string> {
    return ((await this.#send("POST", "/v1/jobs", { name, accelerator: "h800", resources: { accelerators: 1 }, run })) as { id: string }).id;
  }

  async #send(method: string, path: string, body: unknown): Promise<unknown> {
    const response = await fetch(`${this.#api}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  async query<T extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<T[]> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return (await client.query<T>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Waits until all these jobs are in a state; fails where one ends otherwise. */
  async until(jobs: readonly string[], state: string): Promise<void> {
    for (const end = Date.now() + 120_000 + jobs.length * 1000; ; await delay(200)) {
      const rows = await this.query<{ id: string; state: string; attempt: number; failure: unknown }>(
        "SELECT id, state, attempt, failure FROM jobs WHERE id = ANY ($1) AND state <> $2",
        [jobs, state],
      );
      if (rows.length === 0) return;
      if (Date.now() > end || rows.some((row) => ["failed", "cancelled"].includes(row.state)))
        throw new Error(
          `not ${state}: ${JSON.stringify(rows.slice(0, 5))}; ${this.#services.map((service) => `${service.output.slice(0, 1000)}\n...\n${service.output.slice(-2000)}`).join("\n")}`,
        );
    }
  }

  async close(): Promise<void> {
    for (const service of this.#services) service.child.kill("SIGKILL");
    await Promise.all(this.#services.map((service) => service.exit));
    const agents = join(this.dir, "agents");
    for (const shard of existsSync(agents) ? readdirSync(agents) : []) await stopAgent(join(agents, shard), true);
    await onServer(process.env["MUSTER_TEST_DATABASE_URL"] ?? "", `DROP DATABASE ${this.#name} WITH (FORCE)`);
    await nothingLeft(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
