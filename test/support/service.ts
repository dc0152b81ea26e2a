import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const READY = /"msg":"(?:the API listens|scheduler started|supervisor started)"/;
const DEADLINE = 60_000;

export type ServiceName = "api" | "scheduler" | "supervisor";

/** One service as a process of its own, of this program or of another one's folder. */
export class Service {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  output = "";
  #ended = false;

  constructor(name: ServiceName, env: Record<string, string>, root: string = ROOT) {
    this.child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", join(root, "services", name, "src/main.ts")], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.exit = new Promise((resolve) => this.child.once("exit", resolve));
    void this.exit.then(() => (this.#ended = true));
  }

  /** What its log says once it says so. */
  async says(pattern: RegExp): Promise<string> {
    for (const end = Date.now() + DEADLINE; ; await delay(50)) {
      const found = pattern.exec(this.output);
      if (found) return found[1] ?? found[0];
      if (this.#ended || Date.now() > end) throw new Error(`it does not say ${String(pattern)}: ${this.output.slice(-4000)}`);
    }
  }

  ready(): Promise<string> {
    return this.says(READY);
  }

  /** A clean end. */
  async stop(): Promise<number | null> {
    this.child.kill("SIGTERM");
    return this.exit;
  }
}
