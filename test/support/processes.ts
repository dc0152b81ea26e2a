import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/* What runs on this machine, read from /proc: tests look there, not into what the product believes. */

/** Pids of living processes whose environment satisfies a condition. */
export function pidsWhere(condition: (environment: ReadonlyMap<string, string>) => boolean): number[] {
  return livePids().filter((pid) => {
    const environment = environmentOf(pid);
    return environment !== undefined && condition(environment);
  });
}

export function environmentOf(pid: number): Map<string, string> | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
    return new Map(words.flatMap((word) => (word.includes("=") ? [[word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)] as const] : [])));
  } catch {
    return undefined;
  }
}

/** Pids of processes whose environment names this job. */
export function processesOf(job: string, attempt?: number): number[] {
  return pidsWhere(
    (environment) => environment.get("MUSTER_JOB_ID") === job && (attempt === undefined || environment.get("MUSTER_ATTEMPT") === String(attempt)),
  );
}

export function isAlive(pid: number): boolean {
  const state = stateOf(pid);
  return state !== undefined && state !== "Z" && state !== "X";
}

/** All processes below this one. */
export function descendants(pid: number): number[] {
  const children = Map.groupBy(livePids(), parentOf);
  const below = (one: number): number[] => (children.get(one) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

/** Pid of the agent that keeps this state directory. */
export function agentPid(stateDir: string): number | undefined {
  return livePids().find((pid) => {
    const words = commandOf(pid);
    return words.at(-1) === `${stateDir}/config.json` && words.some((word) => word.endsWith("agent/src/main.ts"));
  });
}

export function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // gone since it was listed
    }
  }
}

function livePids(): number[] {
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) && isAlive(Number(name)) ? [Number(name)] : []));
}

function stateOf(pid: number): string | undefined {
  return statOf(pid)?.[0];
}

function parentOf(pid: number): number {
  return Number(statOf(pid)?.[1] ?? 0);
}

function statOf(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ");
  } catch {
    return undefined;
  }
}

/** Does each, whatever became of those before, and fails as the first that failed. */
export async function endAll(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Waits until no process names a folder; kills what does after all that time, and fails. */
export async function nothingLeft(dir: string): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await delay(50)) if (processesNaming(dir).length === 0) return;
  const left = processesNaming(dir);
  signalAll(
    left.map(({ pid }) => pid),
    "SIGKILL",
  );
  throw new Error(`left behind: ${JSON.stringify(left)}`);
}

/** Living processes whose command or environment names a path, with their commands. */
export function processesNaming(path: string): { pid: number; command: string }[] {
  return livePids().flatMap((pid) => {
    if (pid === process.pid) return [];
    const command = commandOf(pid).join(" ");
    const environment = environmentOf(pid);
    return command.includes(path) || [...(environment?.values() ?? [])].some((value) => value.includes(path)) ? [{ pid, command: command.slice(0, 200) }] : [];
  });
}

/**
 * What runs doubly now among these jobs: two attempts of one, or two of them on one device of one node. Workers are told apart
 * by what they were started with.
 */
export function doubles(jobs: ReadonlySet<string>): string[] {
  const attempts = new Map<string, Set<string>>();
  const holders = new Map<string, Set<string>>();
  for (const pid of livePids()) {
    const environment = environmentOf(pid);
    const job = environment?.get("MUSTER_JOB_ID");
    if (environment === undefined || job === undefined || !jobs.has(job)) continue;
    const attempt = environment.get("MUSTER_CHECKPOINT_DIR") ?? "";
    put(attempts, job, attempt);
    for (const device of (environment.get("CUDA_VISIBLE_DEVICES") ?? "").split(",")) {
      if (/^\d+$/.test(device)) put(holders, `${environment.get("MUSTER_NODE")}#${device}`, job);
    }
  }
  return [...attempts, ...holders].flatMap(([key, set]) => (set.size > 1 ? [`${key}: ${[...set].join(", ")}`] : []));
}

function put(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}
