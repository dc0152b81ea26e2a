import { spawn, type ChildProcess } from "node:child_process";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runCli } from "../program.ts";

export interface Run {
  code: number;
  out: string;
  err: string;
}

interface InProcess {
  url: string;
  stdin?: string;
  terminal?: boolean;
  env?: Record<string, string>;
  signal?: AbortSignal;
  now?: string;
}

/** Runs a command line in this process, with its own streams and surroundings. */
export async function run(
  args: readonly string[],
  { url, stdin = "", terminal = false, env = {}, signal, now = "2026-03-01T10:05:00.000Z" }: InProcess,
): Promise<Run> {
  let out = "";
  let err = "";
  const code = await runCli(args, {
    stdin: Object.assign(Readable.from(stdin === "" ? [] : [Buffer.from(stdin)]), { isTTY: false }),
    stdout: { write: (text) => (out += text), isTTY: terminal, columns: 120 },
    stderr: { write: (text) => (err += text), isTTY: terminal, columns: 120 },
    env: { MUSTER_SERVER: url, MUSTER_TOKEN: "secret", ...env },
    signal: signal ?? new AbortController().signal,
    now: () => Date.parse(now),
  });
  return { code, out, err };
}

export const COMMAND = fileURLToPath(new URL("../../bin/muster", import.meta.url));

export interface Spawned {
  /** Resolves as soon as standard output or error holds the text. */
  saw: (text: string) => Promise<void>;
  signal: (name: NodeJS.Signals) => void;
  end: Promise<Run>;
}

const running = new Set<ChildProcess>();

/** Kills what was started and has not ended: for after a test, which may have failed. */
export function endStarted(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Starts the real command as a process of its own. */
export function start(args: readonly string[], { env = {}, stdin = "" }: { env?: Record<string, string>; stdin?: string } = {}): Spawned {
  const child = spawn(COMMAND, [...args], {
    env: { PATH: process.env["PATH"], HOME: "/nonexistent", MUSTER_STATE_DIR: "/nonexistent", ...env },
    stdio: "pipe",
  });
  running.add(child);
  let out = "";
  let err = "";
  let check: () => void = () => {};
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
    check();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
    check();
  });
  child.stdin.end(stdin);
  const end = new Promise<Run>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      running.delete(child);
      resolve({ code: code ?? -1, out, err });
    });
  });
  const saw = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      check = () => {
        if (out.includes(text) || err.includes(text)) resolve();
      };
      check();
      end.then(({ code }) => reject(new Error(`ended with ${code} without "${text}":\n${out}\n${err}`)), reject);
    });
  return { saw, signal: (name) => child.kill(name), end };
}
