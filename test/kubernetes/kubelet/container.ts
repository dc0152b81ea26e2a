import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { ContainerLog } from "./container-log.ts";

export interface Mount {
  from: string;
  at: string;
  readOnly: boolean;
}

export interface ContainerSpec {
  /** A folder of its own. */
  dir: string;
  hostname: string;
  user: { uid: number; gid: number; group: number | undefined };
  workdir: string;
  mounts: Mount[];
  env: Record<string, string>;
  /** Command and arguments. */
  words: string[];
  /** Where the container says why it ended. */
  terminationMessagePath: string;
}

export interface ContainerEnd {
  exitCode: number;
  message: string;
}

const SCRIPT = join(import.meta.dirname, "container.sh");
const MESSAGE_LIMIT = 4096;

/** A command in namespaces of its own, as a container runtime would run it: it is process 1 there, and its end takes all else along. */
export class Container {
  readonly log: ContainerLog;
  readonly startedAt = new Date().toISOString();
  readonly ended: Promise<ContainerEnd>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;

  constructor(spec: ContainerSpec) {
    const layer = join(spec.dir, "layer");
    const message = join(spec.dir, "termination-log");
    mkdirSync(layer, { recursive: true });
    writeFileSync(message, "");
    chmodSync(message, 0o666);
    this.log = new ContainerLog();
    const mounts = [...spec.mounts, { from: message, at: spec.terminationMessagePath, readOnly: false }];
    const { uid, gid, group = gid } = spec.user;
    const apart = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--uts", "--propagation", "private", "--"];
    const container = [layer, spec.hostname, String(uid), String(gid), String(group), spec.workdir];
    const places = mounts.flatMap(({ from, at, readOnly }) => [from, at, readOnly ? "ro" : "rw"]);
    const variables = Object.entries(spec.env).map(([key, value]) => `${key}=${value}`);
    const [program, ...words] = [...apart, "/bin/sh", SCRIPT, ...container, ...places, "--", ...variables, ...spec.words];
    this.#child = spawn(program as string, words, { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] } });
    this.log.take(this.#child.stdout);
    this.log.take(this.#child.stderr);
    this.ended = once(this.#child, "close").then((ending) => {
      const [code, signal] = ending as [number | null, NodeJS.Signals | null];
      this.log.end();
      // a signal's end is told as a shell does, as container runtimes do
      return { exitCode: code ?? 128 + numberOf(signal), message: readFileSync(message, "utf8").slice(0, MESSAGE_LIMIT) };
    });
  }

  /** To process 1 of the container. */
  signal(signal: NodeJS.Signals): void {
    const inside = this.#processOne();
    try {
      process.kill(inside, signal);
    } catch {
      // it has ended
    }
  }

  #processOne(): number {
    const pid = this.#child.pid as number;
    try {
      return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]) || pid;
    } catch {
      return pid;
    }
  }
}

function numberOf(signal: NodeJS.Signals | null): number {
  return signal === "SIGTERM" ? 15 : 9;
}
