import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { WorkerStack } from "@muster/engine";
import { readStat } from "./procs.ts";
import { run } from "./slots.ts";
import type { Worker } from "./worker.ts";

/*
 * What a worker's processes are doing, looked at before they are killed for making no progress: Python frames where py-spy
 * is installed, else what the kernel says of each thread. Bounded in processes, threads, time and size.
 */

const PROCESSES = 16;
const THREADS = 8;
const TEXT = 4000;
const TIMEOUT_MS = 3000;

/** Of the ranks where there are any, else of all processes but the shim. Never rejects. */
export async function collectStacks(worker: Worker): Promise<WorkerStack[]> {
  const ranks = new Map(worker.ranks().map(({ pid, rank }) => [pid, rank]));
  const shim = worker.shimPid();
  const pids = ranks.size > 0 ? [...ranks.keys()] : worker.pids().filter((pid) => pid !== shim);
  const spy = findPySpy();
  return Promise.all(
    pids.slice(0, PROCESSES).map(async (pid) => {
      const python =
        spy === undefined ? undefined : await run(spy, ["dump", "--nonblocking", "--pid", String(pid)], { timeout: TIMEOUT_MS }).catch(() => undefined);
      return { pid, rank: ranks.get(pid) ?? null, text: (python ?? kernelView(pid)).slice(0, TEXT) };
    }),
  );
}

/** State, wait channel and, where readable, kernel stack of each thread. */
export function kernelView(pid: number): string {
  const stat = readStat(pid);
  if (!stat) return "gone";
  const lines = [`${read(`/proc/${pid}/comm`) || "process"}, state ${stat.state}`];
  for (const thread of threadsOf(pid).slice(0, THREADS)) {
    const folder = `/proc/${pid}/task/${thread}`;
    const wchan = read(`${folder}/wchan`);
    const call = read(`${folder}/syscall`).split(" ")[0];
    const where = [wchan === "" || wchan === "0" ? "" : `in ${wchan}`, call !== undefined && /^\d+$/.test(call) ? `system call ${call}` : ""];
    lines.push(`thread ${[read(`${folder}/comm`), ...where].filter(Boolean).join(", ")}`);
    for (const frame of read(`${folder}/stack`).split("\n").slice(0, 8)) if (frame !== "") lines.push(`  ${frame.replace(/^\[<.*?>\] /, "")}`);
  }
  return lines.join("\n");
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function findPySpy(): string | undefined {
  return (process.env["PATH"] ?? "")
    .split(":")
    .filter((folder) => folder.startsWith("/"))
    .map((folder) => join(folder, "py-spy"))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
