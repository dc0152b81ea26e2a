import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { once } from "node:events";

/** One process of a control plane, which can be ended and started again with the same words. */
export class Component {
  readonly #path: string;
  readonly #words: string[];
  readonly #log: string;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(path: string, words: string[], log: string) {
    this.#path = path;
    this.#words = words;
    this.#log = log;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Whether it ended without having been asked to. */
  get died(): boolean {
    return this.#child !== undefined && (this.#child.exitCode !== null || this.#child.signalCode !== null);
  }

  start(): void {
    const log = openSync(this.#log, "a");
    // the kernel ends it when the process that started it is gone, however that ended
    this.#child = spawn("setpriv", ["--pdeathsig", "KILL", "--", this.#path, ...this.#words], { stdio: ["ignore", log, log] });
    closeSync(log);
    this.#ended = once(this.#child, "exit").catch(() => {});
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.kill(signal);
    await this.#ended;
  }

  log(): string {
    return existsSync(this.#log) ? `${this.#log}: ${readFileSync(this.#log, "utf8").slice(-4000)}` : "no log";
  }
}
