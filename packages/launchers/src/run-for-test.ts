import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expand, resolveJobSpec } from "@muster/model";
import { launch } from "./launch.ts";
import type { LaunchInput } from "./types.ts";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

export interface Running {
  workers: { child: ChildProcess; output: () => string; ended: Promise<Ended> }[];
  ended: Promise<Ended[]>;
}

/** Runs what the launcher gives for every worker of a job, all on this machine, as an engine would. */
export class Gang {
  readonly root = mkdtempSync(join(tmpdir(), "muster-launch-"));
  #running: Running[] = [];

  async start(submitted: Record<string, unknown>, files: Record<string, string>, workers?: number, partners?: LaunchInput["partners"][]): Promise<Running> {
    const parsed = resolveJobSpec({ name: "real", ...submitted });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
    const role = parsed.value.variants[0]?.roles[0];
    if (!role) throw new Error("no role");
    const count = workers ?? role.nodes.min;
    const source = this.#folder("source");
    const shared = this.#folder("shared");
    for (const [name, content] of Object.entries(files)) writeFileSync(join(source, name), content);
    const peers = Array.from({ length: role.nodes.min }, (_, i) => ({ role: role.name, nodeRank: i, node: `n${i}`, address: "127.0.0.1" }));
    const rendezvous = { address: "127.0.0.1", port: await freePort() };
    const started = Array.from({ length: count }, (_, nodeRank) => {
      const made = launch({
        job: "job_1",
        incarnation: "1",
        attempt: 1,
        spec: parsed.value,
        role,
        nodeRank,
        peers,
        rendezvous,
        resumeReason: null,
        apiUrl: "",
        ...(partners?.[nodeRank] && { partners: partners[nodeRank] }),
      });
      const dir = this.#folder(`worker-${nodeRank}`);
      for (const file of made.files) writeFileSync(join(dir, file.path), file.content);
      const engine = { MUSTER_DIR: dir, MUSTER_SHARED_DIR: shared };
      const [command, ...args] = made.argv.map((word) => expand(word, engine));
      const env = Object.fromEntries(Object.entries(made.env).map(([name, value]) => [name, expand(value, engine)]));
      const child = spawn(command as string, args, {
        cwd: source,
        env: { PATH: process.env["PATH"], HOME: this.root, ...env, ...engine },
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
      const ended = new Promise<Ended>((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code, signal) => resolve({ code, signal, output }));
      });
      return { child, output: () => output, ended };
    });
    const running = { workers: started, ended: Promise.all(started.map((worker) => worker.ended)) };
    this.#running.push(running);
    return running;
  }

  /** Ends what is left of all that was started. */
  async end(): Promise<void> {
    for (const { child } of this.#running.flatMap((running) => running.workers)) {
      try {
        process.kill(-(child.pid as number), "SIGKILL");
      } catch {
        // gone already
      }
    }
    await Promise.allSettled(this.#running.map((running) => running.ended));
    rmSync(this.root, { recursive: true, force: true });
  }

  #folder(name: string): string {
    const path = join(this.root, `${this.#running.length}-${name}`);
    mkdirSync(path);
    return path;
  }
}

/** Waits until a condition holds; fails after the given milliseconds. */
export async function until(what: string, holds: () => boolean, milliseconds = 30_000): Promise<void> {
  for (const end = Date.now() + milliseconds; !holds(); await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
  }
}

/** Whether a test's tool is here; says in one line what installs it where not. */
export function available(what: string, command: string, args: string[], install: string): boolean {
  const found = spawnSync(command, args, { stdio: "ignore" }).status === 0;
  if (!found) process.stderr.write(`skipped: ${what} is not installed here (${install})\n`);
  return found;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}
