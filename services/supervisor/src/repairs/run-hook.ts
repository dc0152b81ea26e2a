import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RepairHook } from "@muster/model";

/** What a hook is told of a node; on the standard input of a command, or as the body of a webhook. */
export interface Order {
  node: string;
  pool: string;
  reason: string;
  hook: string;
  try: number;
}

/** `waiting`: it was taken on, and will be reported of. A hook that fails throws, and is tried again. */
export type Outcome = { state: "passed" | "failed" | "waiting"; said: string };

const OUTPUT = 4000;
const COMMAND_SECONDS = 1800;
const ANSWER_MS = 30_000;

export function runHook(hook: RepairHook, order: Order, signal: AbortSignal): Promise<Outcome> {
  return hook.webhook ? tell(hook.webhook, order, signal) : runCommand(hook, order, signal);
}

/** Exit code 0: repaired. Anything else is a failure that may pass. */
function runCommand({ name, command = [], timeout = COMMAND_SECONDS }: RepairHook, order: Order, signal: AbortSignal): Promise<Outcome> {
  const [program = "", ...words] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      stdio: ["pipe", "pipe", "pipe"],
      // of its own surroundings nothing: there are the database's password and the like
      env: {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        LC_ALL: "C.UTF-8",
        MUSTER_NODE: order.node,
        MUSTER_POOL: order.pool,
        MUSTER_REASON: order.reason,
      },
      cwd: "/",
      timeout: timeout * 1000,
      killSignal: "SIGKILL",
      signal,
    });
    let output = "";
    const keep = (data: Buffer): void => {
      output = (output + data.toString("utf8")).slice(-OUTPUT);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    // a command that reads nothing is fine
    child.stdin.on("error", () => {});
    child.stdin.end(JSON.stringify(order));
    child.on("error", reject);
    child.on("close", (code, ended) => {
      const said = printable(output);
      if (code === 0) resolve({ state: "passed", said });
      else reject(new Error(`${name} ended with ${ended ?? `code ${code}`}: ${said || "no message"}`));
    });
  });
}

/** An answer of `{"status": "ok" | "fatal", "message": ...}` is the outcome; any other good answer means that it comes later. */
async function tell({ url, secret_file: secretFile }: NonNullable<RepairHook["webhook"]>, order: Order, signal: AbortSignal): Promise<Outcome> {
  const body = JSON.stringify(order);
  const at = String(Math.floor(Date.now() / 1000));
  const secret = secretFile === undefined ? undefined : readFileSync(secretFile, "utf8").trim();
  const response = await fetch(url, {
    method: "POST",
    body,
    redirect: "error",
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    headers: {
      "content-type": "application/json",
      "muster-timestamp": at,
      ...(secret !== undefined && { "muster-signature": `sha256=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")}` }),
    },
  }).catch((error: unknown) => {
    // the address may hold a secret of its own
    throw new Error(
      `the webhook can't be reached: ${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message}`.replaceAll(url, "..."),
    );
  });
  const answer = printable((await response.text()).slice(0, OUTPUT));
  if (!response.ok) throw new Error(`the webhook answered ${response.status}: ${answer || "nothing"}`);
  const { status, message } = parse(answer);
  if (status === "ok" || status === "fatal") return { state: status === "ok" ? "passed" : "failed", said: typeof message === "string" ? message : status };
  return { state: "waiting", said: answer };
}

function parse(answer: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(answer);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const printable = (output: string): string => output.replaceAll("\0", "\uFFFD").toWellFormed().trim();
