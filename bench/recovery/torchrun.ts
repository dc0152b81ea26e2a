import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { environmentOf, isAlive, pidsWhere, signalAll } from "../../test/support/processes.ts";
import { StepsFile } from "./steps.ts";
import { freePort } from "../../test/support/free-ports.ts";

export const PYTHON = "/usr/bin/python3";
export const TRAIN = join(import.meta.dirname, "train.py");

/** torchrun as people run it: c10d, its own monitor interval, its own restarts; node 0 hosts the rendezvous. */
export class TorchrunGang {
  readonly steps: StepsFile;
  readonly #dir: string;
  readonly #nodes: number;
  readonly #port: number;
  readonly #loop: boolean;
  readonly #id: string;
  /** Leaders of the sessions that stand for nodes. */
  readonly #sessions: number[] = [];

  static async start(dir: string, name: string, nodes: number, options: { loop: boolean }): Promise<TorchrunGang> {
    const gang = new TorchrunGang(dir, name, nodes, await freePort(), options.loop);
    gang.startNode(0);
    // whoever is first hosts the rendezvous
    await delay(300);
    for (let node = 1; node < nodes; node++) gang.startNode(node);
    return gang;
  }

  private constructor(dir: string, name: string, nodes: number, port: number, loop: boolean) {
    this.#dir = join(dir, name);
    mkdirSync(join(this.#dir, "checkpoints"), { recursive: true });
    this.#id = this.#dir;
    this.#nodes = nodes;
    this.#port = port;
    this.#loop = loop;
    this.steps = new StepsFile(join(this.#dir, "steps"));
  }

  /** A node, or one in its place: torchrun, by a shell that starts it again as long as it fails where asked. */
  startNode(node: number): void {
    const torchrun = [
      PYTHON,
      "-m",
      "torch.distributed.run",
      `--nnodes=${this.#nodes}`,
      "--nproc_per_node=1",
      "--rdzv_backend=c10d",
      `--rdzv_endpoint=127.0.0.1:${this.#port}`,
      "--rdzv_id=bench",
      "--max_restarts=3",
      // Debian's torchrun 1.13 on Python 3.11 starts with no others
      "--redirects=1",
      "--tee=1",
      `--log_dir=${join(this.#dir, `logs-${node}`)}`,
      TRAIN,
    ];
    const words = this.#loop ? ["/bin/sh", "-c", 'until "$@"; do sleep 1; done', "loop", ...torchrun] : torchrun;
    const child = spawn(words[0] as string, words.slice(1), {
      detached: true,
      stdio: "ignore",
      cwd: this.#dir,
      env: {
        PATH: "/usr/local/bin:/usr/bin:/bin",
        CHECKPOINTS: join(this.#dir, "checkpoints"),
        STEPS_FILE: this.steps.path,
        OMP_NUM_THREADS: "1",
        GLOO_SOCKET_IFNAME: "lo",
        BENCH_GANG: this.#id,
        BENCH_NODE: String(node),
      },
    });
    child.unref();
    this.#sessions[node] = child.pid ?? 0;
  }

  #of(node?: number): number[] {
    return pidsWhere((env) => env.get("BENCH_GANG") === this.#id && (node === undefined || env.get("BENCH_NODE") === String(node)));
  }

  get over(): boolean {
    return this.#of().length === 0;
  }

  /** SIGKILL to one rank. @returns when */
  killWorker(pick: number): number {
    const ranks = this.#of().filter((pid) => environmentOf(pid)?.has("RANK"));
    const at = Date.now();
    signalAll([ranks[pick % ranks.length] as number], "SIGKILL");
    return at;
  }

  /** SIGKILL to all of a node; another starts in its place at once. @returns when */
  replaceNode(node: number): number {
    const at = this.killNode(node);
    this.startNode(node);
    return at;
  }

  killNode(node: number): number {
    const pids = this.#of(node);
    const at = Date.now();
    signalAll(pids, "SIGKILL");
    return at;
  }

  async close(): Promise<void> {
    for (let left = this.#of(); left.length > 0; left = this.#of()) {
      signalAll(left, "SIGKILL");
      await delay(20);
      if (left.every((pid) => !isAlive(pid))) continue;
    }
  }
}
