import { readdirSync, readFileSync } from "node:fs";

/* Processes as /proc shows them. A process that is gone, or a zombie, counts as dead. */

export interface ProcStat {
  pid: number;
  state: string;
  ppid: number;
  session: number;
  /** Clock ticks since boot: with the boot id, tells a process from a later one of the same number. */
  startTime: string;
}

export function readStat(pid: number): ProcStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // the name may hold anything, spaces and brackets too: fields are counted from its last bracket
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { pid, state: fields[0] ?? "X", ppid: Number(fields[1]), session: Number(fields[3]), startTime: fields[19] ?? "" };
}

export function isDead(stat: ProcStat | undefined): boolean {
  return !stat || stat.state === "Z" || stat.state === "X";
}

export function readEnviron(pid: number): Map<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return undefined;
  }
  const environ = new Map<string, string>();
  for (const part of text.split("\0")) {
    const equals = part.indexOf("=");
    if (equals > 0 && !environ.has(part.slice(0, equals))) environ.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return environ;
}

export function allPids(): number[] {
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** What marks a process as one of a worker's: set by the agent, inherited by all that the worker starts. */
export function workerMark(key: { job: string; incarnation: string; attempt: number; worker: string }): string {
  return `${key.job}/${key.incarnation}-${key.attempt}/${key.worker}`;
}

/** Living processes by worker mark, the agent's own aside: those in a worker's environment, session or descent. */
export function findByMark(): Map<string, number[]> {
  const stats = new Map<number, ProcStat>();
  const marks = new Map<number, string>();
  for (const pid of allPids()) {
    if (pid === process.pid) continue;
    const stat = readStat(pid);
    if (!stat || isDead(stat)) continue;
    stats.set(pid, stat);
    const mark = readEnviron(pid)?.get("MUSTER_WORKER") ?? shimMark(pid);
    if (mark !== undefined) marks.set(pid, mark);
  }
  const markOf = (pid: number, depth = 0): string | undefined => {
    const own = marks.get(pid);
    if (own !== undefined || depth > 64) return own;
    const stat = stats.get(pid);
    if (!stat) return undefined;
    return marks.get(stat.session) ?? (stat.ppid > 1 ? markOf(stat.ppid, depth + 1) : undefined);
  };
  const found = new Map<string, number[]>();
  for (const pid of stats.keys()) {
    const mark = markOf(pid);
    if (mark === undefined) continue;
    const pids = found.get(mark);
    if (pids) pids.push(pid);
    else found.set(mark, [pid]);
  }
  return found;
}

/** A shim that was forked and has executed nothing has the mark in its name. */
function shimMark(pid: number): string | undefined {
  try {
    return /^muster-worker ([^\0]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}

/** Sends a signal; false where the process is gone. */
export function signalPid(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

const RANK_VARIABLES = ["RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "JAX_PROCESS_ID"];

export interface RankProcess {
  pid: number;
  rank: number;
  /** How often the framework has restarted its workers by itself. */
  generation: number;
}

/**
 * The processes that are ranks: they carry a framework's rank variable, and the process that started them doesn't carry
 * the same rank (helpers that a rank starts inherit the variable, but have no checkpoint handler).
 */
export function rankProcesses(pids: readonly number[], shim: number | undefined): RankProcess[] {
  const ranks = new Map<number, { rank: number; ppid: number; generation: number }>();
  for (const pid of pids) {
    if (pid === shim) continue;
    const stat = readStat(pid);
    if (!stat || isDead(stat)) continue;
    const environ = readEnviron(pid);
    const value = RANK_VARIABLES.map((name) => environ?.get(name)).find((text) => text !== undefined && /^\d{1,7}$/.test(text));
    if (value === undefined) continue;
    const generation = Number(environ?.get("TORCHELASTIC_RESTART_COUNT") ?? 0);
    ranks.set(pid, { rank: Number(value), ppid: stat.ppid, generation: Number.isSafeInteger(generation) ? generation : 0 });
  }
  return [...ranks].flatMap(([pid, { rank, ppid, generation }]) => (ranks.get(ppid)?.rank === rank ? [] : [{ pid, rank, generation }]));
}
