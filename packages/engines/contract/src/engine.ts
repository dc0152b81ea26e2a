import type { DelegatedLauncher, DeviceVendor, ProgressSpec } from "@muster/model";

/*
 * What every engine does, whatever it runs on. An engine carries out and reports; it decides nothing. All commands are
 * idempotent and keyed by (job, incarnation, attempt, worker, operation): the same command again changes nothing, and one
 * older than the newest (incarnation, attempt) that the engine knows of a job is refused.
 */

/** The fence: compared in this order, per job. `incarnation` is a decimal string of at most 18 digits. */
export interface AttemptKey {
  job: string;
  incarnation: string;
  attempt: number;
}

export interface WorkerKey extends AttemptKey {
  /** Role and node rank, `worker/0`: unique in the attempt. */
  worker: string;
}

export interface WorkerFile {
  /** Relative to the worker's control directory, which `${MUSTER_DIR}` in argv and env stands for. */
  path: string;
  content: string;
  mode?: number;
}

/** Everything needed to start one worker. The launcher has filled in argv, env and files. */
export interface WorkerStart extends WorkerKey {
  node: string;
  project: string;
  role: string;
  nodeRank: number;
  argv: string[];
  env: Record<string, string>;
  files: WorkerFile[];
  devices: { vendor: DeviceVendor; indices: number[]; share: number };
  limits: { cpus: number; memory: number };
  /** Where the source is: fetched once a node, checked out per attempt, at this commit. */
  source?: { git: string; commit: string } | { dir: string };
  workdir?: string;
  secrets: { env: string; from: string }[];
  mounts: { at: string; from: string; readOnly: boolean }[];
  /** Written to `$MUSTER_TOKEN_FILE`; never logged, never journalled. */
  token: string;
  /** The operator that the attempt's workers are handed to together, instead of being started one by one. */
  delegated?: { kind: DelegatedLauncher; runtime?: string };
  checkpoint: {
    /** Root of the job's checkpoints (`<checkpoint.dir>/<job>`); absent: the engine's own area. */
    dir?: string;
    signal?: string;
    marker?: string;
    committed?: string;
    /** Whether markers and log lines of this worker count (`from: rank0` counts only the first worker). */
    reports: boolean;
    /** Sealed checkpoint that this attempt starts from, as reported by `sealed`. */
    resumeFrom?: string;
  };
  progress: ProgressSpec;
  /** Log patterns of the recovery rules; each match is reported once per worker and pattern. */
  watch: { id: string; pattern: string }[];
  /** Ranks that the worker's processes carry, for per-rank reports. */
  firstRank: number;
  ranks: number;
  /** How many workers the attempt has on this shard, where the engine is to start them together; without it, those of this call. */
  gang?: number;
  /** For engines that run images. */
  container?: WorkerContainer;
}

export interface WorkerContainer {
  image?: string;
  /** Whether an operator chose the image: then no project needs leave to use it. */
  trusted: boolean;
  /** Variables that the pool gives; the job's own go over them. */
  env: Record<string, string>;
  serviceAccount?: string;
  /** Bytes. */
  shm?: number;
  ephemeralStorage?: number;
  /** Seconds that the worker has to write a checkpoint before it is ended by others. */
  grace: number;
}

export type StopMode =
  /** Ask for a checkpoint (control file, checkpoint signal), then SIGTERM the ranks after the checkpoint or half of the grace, then kill at its end. */
  | "graceful"
  /** Kill everything of the worker now. */
  | "kill";

export interface WorkerStop extends WorkerKey {
  mode: StopMode;
  /** Seconds from the first stop command to the kill. */
  grace: number;
  /** Before the kill, what its processes are doing is collected and observed as `stacks`, where the engine can. */
  inspect?: boolean;
}

/** What one process was doing. */
export interface WorkerStack {
  pid: number;
  rank: number | null;
  text: string;
}

export interface SealCheckpoint extends AttemptKey {
  node: string;
  project: string;
  dir?: string;
  step: number;
  path: string;
  /** `<step>-<id>`: the name below `committed/`. */
  name: string;
  /** Names below `committed/` to keep; all others are removed after sealing. */
  keep: string[];
}

/** Facts that engines report, in order per shard. `at` is the engine's clock, for display alone. */
export type Observation = { seq: number; at: string } & (
  | ({ kind: "started"; pid?: number; handle?: string } & WorkerKey)
  | ({ kind: "exited"; exitCode: number | null; signal: string | null; oom: boolean; reason?: string; ranks?: RankExit[]; errorTail?: string } & WorkerKey)
  /** Confirmed dead, but how it ended was missed. */
  | ({ kind: "lost"; reason: string } & WorkerKey)
  /** Could not be started; nothing of it is running. */
  | ({ kind: "refused"; code: RefusalCode; reason: string } & WorkerKey)
  | ({ kind: "progress"; step?: number; total?: number; loss?: number | null; rate?: number; phase?: string } & WorkerKey)
  | ({ kind: "checkpoint"; step: number; path: string; generation: number; via: "marker" | "log" } & WorkerKey)
  | ({ kind: "sealed"; step: number; name: string; path: string } & AttemptKey)
  | ({ kind: "seal_failed"; step: number; name: string; reason: string } & AttemptKey)
  | ({ kind: "matched"; id: string; line: string; rank?: number } & WorkerKey)
  /** The worker has written this many bytes in all; at most about once a second per worker, and before its `exited` or `lost`. */
  | ({ kind: "output"; size: number } & WorkerKey)
  | ({ kind: "log_dropped"; bytes: number; reason: string } & WorkerKey)
  /** Seconds that a step took each rank by itself, without its waiting for others: the mean since the last such report. */
  | ({ kind: "step_times"; ranks: Record<string, number> } & WorkerKey)
  | ({ kind: "stacks"; stacks: WorkerStack[] } & WorkerKey)
  /** What the engine's own system says about a worker, for the job's timeline. */
  | ({ kind: "notice"; reason: string; message: string } & WorkerKey)
  | { kind: "node"; node: string; bootId: string; health: "ready" | "bad"; reason?: string }
  /** A line of a node's kernel, or of the look at its disks; what it means is decided by whoever observes. */
  | { kind: "noticed"; node: string; line: string }
  /** The engine knows a newer (incarnation, attempt) than the command's: a restored backup, or a lagging replica. */
  | { kind: "newer_known"; job: string; incarnation: string; attempt: number }
);

export interface RankExit {
  rank: number;
  exitCode: number | null;
  signal: string | null;
}

export type RefusalCode = "stale" | "already_started" | "no_such_node" | "start_failed" | "source_failed" | "invalid" | "newer_known";

/** What an engine knows of one worker, for adoption and level-triggered reconciliation. */
export interface WorkerStatus extends WorkerKey {
  node: string;
  state: "starting" | "running" | "exited" | "lost";
  exitCode: number | null;
  signal: string | null;
  oom: boolean;
  stopping: boolean;
}

export interface ShardSnapshot {
  /** Changes when the engine's memory starts anew; observations are numbered within it. */
  epoch: string;
  /** Observations up to this one are included in the snapshot. */
  seq: number;
  /** Newest (incarnation, attempt) known per job that still has workers or unreported ends here. */
  workers: WorkerStatus[];
  nodes: { node: string; bootId: string }[];
  /** The greatest incarnation that any command carried. */
  incarnation: string;
}

/** Where to read a worker's output. Offsets count bytes of the worker's whole output, rotated parts included. */
export interface LogChunk {
  offset: number;
  next: number;
  /** Whether the worker has ended and `next` is the end. */
  end: boolean;
  data: Uint8Array;
}

/**
 * One engine shard: one agent of the local engine, or one Kubernetes cluster. All methods may reject with `Unreachable`;
 * then nothing is known of the outcome, and the caller asks again. Unreachable is never failed.
 */
export interface Engine {
  readonly shard: string;
  /** Whether a worker sees only its own devices, counted from 0. Otherwise it is told the indices on its node. */
  readonly ownDevices?: boolean;
  /** By what name the others of its attempt reach a worker, where that isn't its node's address. */
  addressOf?(worker: WorkerKey): string | undefined;
  /** Resolves when the engine answers: a sign of life, cheap enough for every second. Rejects within a few seconds where it doesn't. */
  ping(): Promise<void>;
  snapshot(): Promise<ShardSnapshot>;
  /**
   * Observations after `seq` of `epoch`, as they come; ends when the connection does. A gap or another epoch rejects with `Gone`:
   * take a snapshot again.
   */
  observe(epoch: string, after: number, signal: AbortSignal): AsyncIterable<Observation[]>;
  /** Accepted means journalled. What becomes of each is observed. */
  start(workers: WorkerStart[]): Promise<void>;
  /**
   * A worker that the engine never started is recorded as stopped, so that a late start is refused, and reported `lost` with the
   * reason `never started`. A later stop may shorten the grace or turn `graceful` into `kill`, never the other way.
   */
  stop(workers: WorkerStop[]): Promise<void>;
  /** Raises the number in the control files of an attempt, and signals its ranks where a signal is set. */
  checkpointNow(attempts: AttemptKey[]): Promise<void>;
  seal(commits: SealCheckpoint[]): Promise<void>;
  /** The ends of these attempts are recorded in the store: the engine may forget them and remove their working directories. */
  forget(attempts: AttemptKey[]): Promise<void>;
  /** Kept until `forget`. */
  readLog(worker: WorkerKey, offset: number, limit: number): Promise<LogChunk>;
  close(): Promise<void>;
}

/** The engine can't be asked now. Says nothing about its workers. */
export class Unreachable extends Error {
  override name = "Unreachable";
}

/** What keeps the shard ended, and none can be started in its place: the node is gone, not only out of reach. */
export class Dead extends Unreachable {
  override name = "Dead";
}

/** The engine no longer has the observations asked for. */
export class Gone extends Error {
  override name = "Gone";
}

/** Compares fences: below zero where `a` is older than `b`. */
export function compareFence(a: { incarnation: string; attempt: number }, b: { incarnation: string; attempt: number }): number {
  const left = BigInt(a.incarnation);
  const right = BigInt(b.incarnation);
  if (left !== right) return left < right ? -1 : 1;
  return a.attempt - b.attempt;
}
