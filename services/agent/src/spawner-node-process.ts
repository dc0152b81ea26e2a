import { spawn } from "node:child_process";
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

/*
 * The process that workers are forked from. Forking costs time in proportion to the memory of who forks (45 us/MB), so it
 * is not the agent itself but this, which holds next to nothing. When the agent dies, it stays until its workers have
 * ended: a pipe's content goes with the last who holds the pipe, so it is put into a file for the next agent.
 */

export interface StartOrder {
  id: number;
  slot: string;
  /** Files that the worker gets as descriptors: output pipe, exit record, then the lists of its groups. */
  files: string[];
  words: string[];
  env: Record<string, string>;
  cwd: string;
  uid?: number;
  gid?: number;
}

export type Order = StartOrder | { drop: string };

export type Report = { id: number } & ({ pid: number; startTime: string } | { error: string } | { code: number | null; signal: string | null });

/** Exit records are told apart by their start's number, so the file is cut only now and then. */
const RECORD_CAP = 8192;
const running = new Set<number>();
const slots = new Map<string, number[]>();
const report = (message: Report): void => {
  if (process.connected) process.send?.(message);
};

function descriptors(order: StartOrder): number[] {
  let found = slots.get(order.slot);
  if (!found) {
    found = [];
    slots.set(order.slot, found);
    for (const [index, path] of order.files.entries()) {
      // the pipe is open for reading too: a worker so keeps it alive through the agent's death, and never meets SIGPIPE
      const flags = index === 0 ? constants.O_RDWR : index === 1 ? constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT : constants.O_WRONLY;
      found.push(openSync(path, flags | constants.O_NOFOLLOW, 0o600));
    }
  }
  const record = found[1] as number;
  if (fstatSync(record).size > RECORD_CAP) ftruncateSync(record, 0);
  return found;
}

function start(order: StartOrder): void {
  const { id, words, env, cwd, uid, gid } = order;
  try {
    const child = spawn(words[0] as string, words.slice(1), {
      stdio: ["ignore", ...descriptors(order)],
      detached: true,
      env,
      cwd,
      ...(uid !== undefined && gid !== undefined && { uid, gid }),
    });
    child.on("error", (error) => report({ id, error: error.message }));
    if (child.pid === undefined) return;
    // not reaped yet, so it is still there to be read
    const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
    report({ id, pid: child.pid, startTime: stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "" });
    running.add(id);
    child.on("exit", (code, signal) => {
      running.delete(id);
      if (process.connected) return report({ id, code, signal });
      keepOutput(order.files[0] as string);
      if (running.size === 0) process.exit(0);
    });
  } catch (error) {
    report({ id, error: (error as Error).message });
  }
}

/** Moves what is left in a pipe into a file beside it. */
function keepOutput(pipe: string): void {
  const rest = openSync(`${pipe}.rest`, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW, 0o600);
  const from = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  try {
    const data = Buffer.allocUnsafe(65_536);
    for (let length = readSync(from, data); length > 0; length = readSync(from, data)) writeSync(rest, data, 0, length);
  } catch {
    // empty, or the disk is full
  } finally {
    closeSync(from);
    closeSync(rest);
  }
}

process.on("message", (order: Order) => {
  if (!("drop" in order)) return start(order);
  for (const descriptor of slots.get(order.drop) ?? []) closeSync(descriptor);
  slots.delete(order.drop);
});
process.on("disconnect", () => {
  if (running.size === 0) process.exit(0);
});
