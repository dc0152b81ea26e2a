import { existsSync } from "node:fs";
import type { Logger } from "pino";
import { NodeSpawner } from "./spawner-node.ts";
import type { Leftover, Step } from "./steps.ts";
import { findPerl, PerlSpawner } from "./spawner-perl.ts";

/* Who forks the workers: a small perl process where the machine has perl, else helpers of Node's own. */

export interface WorkerOrder {
  /** Unique per agent state. */
  id: number;
  /** What the worker's shim is known by in /proc. */
  mark: string;
  /** Name of the slot, and its files: output pipe, exit record, then the lists of its groups. */
  slot: string;
  files: string[];
  /** What is made on disk first. */
  prepare: Step[];
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  /** Whom to become; undefined: as the agent. */
  user?: { uid: number; gid: number };
  /** Words put before the program, for a worker that needs its own mount namespace; it then becomes the user itself. */
  wrap?: string[];
}

/** What becomes of an order. */
export interface Spawned {
  /** The shim, which leads the worker's session. */
  started: (pid: number, startTime: string) => void;
  failed: (reason: string) => void;
  /** Undefined where only the exit record can tell. */
  exited: (exit: { code: number | null; signal: string | null } | undefined) => void;
  /** Nobody will tell how it ends: its exit record must. */
  orphaned: () => void;
}

export interface Spawner {
  /** Throws where an order can't be passed on. */
  start: (order: WorkerOrder, worker: Spawned) => void;
  /** Removes what attempts left; rejects where something can't be removed. */
  remove: (leftovers: Leftover[]) => Promise<void>;
  /** Lets go of what is held of a slot. */
  drop: (slot: string) => void;
  /** What is running goes on, with its exit record as the only report. */
  close: () => void;
}

export function makeSpawner(stateDir: string, log: Logger): Spawner {
  const perl = findPerl((process.env["PATH"] ?? "").split(":"), existsSync);
  if (perl !== undefined) return new PerlSpawner(perl);
  log.warn("there is no perl here that could fork the workers; Node does it, which takes several times as long");
  return new NodeSpawner(stateDir);
}
