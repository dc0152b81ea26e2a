import { randomBytes } from "node:crypto";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stopAgent } from "@muster/agent";
import { start as startCommand, type Run } from "@muster/cli/testing";
import { onServer } from "@muster/store/testing";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { agentPid, isAlive, nothingLeft, pidsWhere } from "../support/processes.ts";

/* Every service as a process of its own, two of each, on one database that was empty when they began. */

const root = fileURLToPath(new URL("../..", import.meta.url));
const NODES = ["alone-1", "alone-2"];

class Service {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  output = "";

  constructor(name: string, env: Record<string, string>) {
    this.child = spawn(process.execPath, [join(root, "services", name, "src/main.ts")], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.exit = new Promise((resolve) => this.child.once("exit", resolve));
  }

  /** What its log says once it says so. */
  async says(pattern: RegExp): Promise<string> {
    const silent = (): Error => new Error(`it does not say ${String(pattern)}: ${this.output}`);
    const said = vi.waitFor(
      () => {
        const found = pattern.exec(this.output);
        if (!found) throw silent();
        return found[1] ?? found[0];
      },
      { timeout: 60_000, interval: 50 },
    );
    return Promise.race([
      said,
      this.exit.then((): never => {
        throw silent();
      }),
    ]);
  }
}

describe("services that run alone", () => {
  const services: Service[] = [];
  let dir: string;
  let database: string;
  let env: Record<string, string>;
  let urls: string[];
  let token: string;

  const muster = (args: readonly string[], { stdin = "", server = 0 } = {}): Promise<Run> =>
    startCommand(args, { env: { MUSTER_SERVER: urls[server] ?? "", MUSTER_TOKEN: token }, stdin }).end;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "muster-alone-"));
    chmodSync(dir, 0o755);
    const url = new URL(process.env["MUSTER_TEST_DATABASE_URL"] ?? "");
    database = `alone_${process.pid}_${randomBytes(4).toString("hex")}`;
    await onServer(url.href, `CREATE DATABASE ${database}`);
    url.pathname = `/${database}`;
    env = { DATABASE_URL: url.href, MUSTER_LOG_STORE: join(dir, "logs") };
    // all at once, so that each may find the database empty
    const apis = [1, 2].map(() => new Service("api", { ...env, MUSTER_PORT: "0" }));
    services.push(...apis, ...[1, 2].map(() => new Service("scheduler", env)));
    urls = await Promise.all(apis.map((api) => api.says(/"address":"([^"]+)"/)));
    services.push(...[1, 2].map(() => new Service("supervisor", { ...env, MUSTER_API_URL: urls[0] ?? "", MUSTER_AGENTS_DIR: join(dir, "agents") })));
    await Promise.all(services.map((service) => service.says(/"msg":"(?:the API listens|scheduler started|supervisor started)"/)));
    const made = spawnSync(process.execPath, [join(root, "services/api/src/create-token.ts"), "--subject", "root", "--role", "admin"], {
      env: { PATH: process.env["PATH"], DATABASE_URL: env["DATABASE_URL"] },
      encoding: "utf8",
    });
    if (made.status !== 0) throw new Error(made.stderr);
    token = made.stdout.trim();
  }, 120_000);

  afterAll(async () => {
    for (const service of services) service.child.kill("SIGKILL");
    await Promise.all(services.map((service) => service.exit));
    const agents = join(dir, "agents");
    for (const shard of existsSync(agents) ? readdirSync(agents) : []) await stopAgent(join(agents, shard), true);
    await nothingLeft(dir);
    await onServer(process.env["MUSTER_TEST_DATABASE_URL"] ?? "", `DROP DATABASE ${database} WITH (FORCE)`);
    rmSync(dir, { recursive: true, force: true });
  }, 60_000);

  test("run a job on nodes that were declared, and any API has its logs", async () => {
    const declared = `kind: pool\nname: alone\nvendor: nvidia\naccelerator: h800\n${NODES.map((name) => `---\nkind: node\nname: ${name}\npool: alone\ndevices: 2\ncpus: 4\nmemory: 4Gi\n`).join("")}`;
    expect(await muster(["apply", "-f", "-"], { stdin: declared })).toMatchObject({
      code: 0,
      out: "pool/alone created\nnode/alone-1 created\nnode/alone-2 created\n",
    });
    const spec = 'name: hello\nnodes: 2\nresources: {accelerators: 2}\nrun: [bash, -c, "echo hello from rank $$MUSTER_NODE_RANK"]\n';
    expect(await muster(["job", "submit", "-f", "-", "--wait"], { stdin: spec })).toMatchObject({ code: 0 });
    await expect
      .poll(async () => (await muster(["job", "logs", "hello", "--worker", "all"], { server: 1 })).out, { timeout: 30_000 })
      .toMatch(/hello from rank 0[\s\S]*hello from rank 1|hello from rank 1[\s\S]*hello from rank 0/);
  });

  test("follow settings that are put while they run", async () => {
    expect(await muster(["cluster", "set", "-f", "-"], { stdin: "placement: {backfill: greedy}\n", server: 1 })).toMatchObject({
      code: 0,
      out: "placement.backfill: dated -> greedy\n",
    });
    await expect
      .poll(() => services.some((service) => /"backfill":"greedy".*"placement settings applied"/.test(service.output)), { timeout: 30_000 })
      .toBe(true);
  });

  test("a new incarnation is begun by the command, and work starts again once the engines have reported", async () => {
    expect(await muster(["admin", "new-incarnation", "--reason", "test", "-y"])).toMatchObject({ code: 0 });
    expect(await muster(["job", "submit", "-f", "-", "--wait"], { stdin: "name: after\nrun: ['true']\n" })).toMatchObject({ code: 0 });
    const cluster = JSON.parse((await muster(["cluster", "get", "-o", "json"])).out) as { starts_paused: boolean };
    expect(cluster.starts_paused).toBe(false);
  });

  test("end with 0 when asked, and leave behind only agents, which end when told", async () => {
    for (const service of services) service.child.kill("SIGTERM");
    expect(await Promise.all(services.map((service) => service.exit))).toEqual(services.map(() => 0));
    const agent = agentPid(join(dir, "agents", "alone"));
    expect(agent).toBeDefined();
    await stopAgent(join(dir, "agents", "alone"), true);
    await expect.poll(() => agent !== undefined && isAlive(agent)).toBe(false);
    expect(pidsWhere((environment) => NODES.includes(environment.get("MUSTER_NODE") ?? "") || environment.get("DATABASE_URL") === env["DATABASE_URL"])).toEqual(
      [],
    );
  });
});
