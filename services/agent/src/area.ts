import { createHash } from "node:crypto";
import { chmodSync, chownSync, closeSync, constants, existsSync, fchownSync, fchmodSync, lstatSync, mkdirSync, openSync, realpathSync, renameSync, rmdirSync, statSync, symlinkSync, unlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { AttemptKey, WorkerKey, WorkerStart } from "@muster/engine";
import type { AgentConfig } from "./config.ts";
import { attemptName, workerName } from "./keys.ts";
import type { User } from "./users.ts";

/*
 * Where workers' folders lie. Every folder that a worker can write to sits in one that it can't, so that none can be
 * swapped for a link; what the agent puts there is written before the folder becomes the worker's.
 */

const OWN_UID = process.getuid?.() ?? 0;
const ROOT = OWN_UID === 0;

/** The paths that a worker is told of. */
export interface WorkerPaths {
  dir: string;
  shared: string;
  source: string;
  token: string;
  control: string;
  progress: string;
  checkpoint: string;
  resume: string;
}

export class Area {
  readonly path: string;
  config: AgentConfig;
  private checkpointRootMade = false;

  constructor(config: AgentConfig) {
    this.config = config;
    this.path = config.area ?? defaultArea(config.state_dir);
    makeOwn(this.path, 0o711);
    makeOwn(join(this.path, "run"), 0o711);
  }

  get checkpointRoot(): string {
    return this.config.checkpoint_root ?? join(this.path, "checkpoints");
  }

  attemptDir(key: AttemptKey): string {
    return join(this.path, "run", attemptName(key));
  }

  workerDir(key: WorkerKey): string {
    return join(this.path, "run", workerName(key));
  }

  paths(key: AttemptKey & { worker: string }, jobCheckpoints: string): WorkerPaths {
    const attempt = this.attemptDir(key);
    const dir = this.workerDir(key);
    return {
      dir,
      shared: join(attempt, "shared"),
      source: join(attempt, "source"),
      token: join(dir, "token"),
      control: join(dir, "control"),
      progress: join(dir, "progress"),
      checkpoint: join(jobCheckpoints, `attempt-${key.incarnation}-${key.attempt}`),
      resume: join(jobCheckpoints, `resume-${key.incarnation}-${key.attempt}`),
    };
  }

  /**
   * The folder of a job's checkpoints, the agent's own; throws where the job names one that this agent was not told of.
   */
  jobCheckpoints(job: string, dir: string | undefined): string {
    if (dir === undefined) {
      if (!this.checkpointRootMade) makeOwn(this.checkpointRoot, 0o711);
      this.checkpointRootMade = true;
      const own = join(this.checkpointRoot, job);
      makeFolder(own, 0o711);
      return own;
    }
    if (basename(dir) !== job) throw new Error(`the folder of a job's checkpoints must be named for the job: ${dir} does not end in /${job}`);
    const parent = dirname(dir);
    const roots = [this.checkpointRoot, ...this.config.checkpoint_roots];
    const allowed = !ROOT || roots.some((one) => inside(one, parent));
    if (!allowed) throw new Error(`checkpoint.dir ${parent} is not below a checkpoint root of this agent (${roots.join(", ")}); use one of those, or add it to the agent's checkpoint_roots`);
    mkdirSync(parent, { recursive: true, mode: 0o755 });
    const real = realpathSync(parent);
    if (ROOT && !roots.some((one) => inside(tryReal(one), real))) throw new Error(`checkpoint.dir ${parent} leads out of its checkpoint root through a link`);
    makeFolder(join(real, job), 0o711);
    return join(real, job);
  }

  /** Makes the folder that an attempt's workers on this agent share, for those who use it. */
  makeAttempt(key: AttemptKey, user: User, paths: WorkerPaths): void {
    const dir = this.attemptDir(key);
    makeFolder(dir, 0o710, { uid: OWN_UID, gid: user.gid });
    makeFolder(paths.shared, 0o700, user);
  }

  /** Makes one worker's folder with its files in it. `fill` replaces path variables in a file's content. */
  makeWorker(start: WorkerStart, user: User, paths: WorkerPaths, fill: (text: string) => string): void {
    mkdirSync(paths.dir, { mode: 0o700 });
    makeFolder(paths.checkpoint, 0o700, user);
    writeNew(paths.token, start.token, 0o400, user);
    for (const file of start.files) {
      const path = join(paths.dir, file.path);
      const folder = dirname(file.path);
      if (folder !== ".") {
        let at = paths.dir;
        for (const part of folder.split("/")) makeFolder((at = join(at, part)), 0o700, user);
      }
      writeNew(path, fill(file.content), file.mode ?? 0o600, user);
    }
    if (ROOT) chownSync(paths.dir, user.uid, user.gid);
  }

  /** Puts the number that asks for a checkpoint into a worker's control file, whole or not at all. */
  raiseControl(paths: Pick<WorkerPaths, "control">, value: number, user: User): void {
    const next = `${paths.control}.next`;
    try {
      unlinkSync(next);
    } catch {
      // the usual case
    }
    writeNew(next, `${value}\n`, 0o644, user);
    renameSync(next, paths.control);
  }

  /** Lets `link` lead to a sealed checkpoint beside it. */
  pointResume(link: string, name: string): void {
    const next = `${link}.next`;
    try {
      unlinkSync(next);
    } catch {
      // the usual case
    }
    symlinkSync(join("committed", name), next);
    renameSync(next, link);
  }

  /** Drops what is left of an attempt that is forgotten, but never a checkpoint. Returns folders to remove. */
  dropAttempt(key: AttemptKey, workers: readonly WorkerKey[], checkpoint: string | undefined, resume: string | undefined): string[] {
    if (checkpoint !== undefined) {
      try {
        rmdirSync(checkpoint);
        if (resume !== undefined) tryUnlink(resume);
        rmdirSync(dirname(checkpoint));
      } catch {
        // it holds checkpoints
      }
    }
    const shared = this.attemptDir(key);
    return [...workers.map((worker) => this.workerDir(worker)), ...(existsSync(shared) ? [shared] : [])];
  }
}

function defaultArea(stateDir: string): string {
  if (!ROOT || reachable(stateDir)) return join(stateDir, "area");
  return join("/var/tmp", `muster-${createHash("sha256").update(stateDir).digest("hex").slice(0, 12)}`);
}

/** Whether a user without privileges can pass through all folders above, and through this one as the agent makes it. */
function reachable(path: string): boolean {
  for (let at = dirname(path); ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === "/") return true;
  }
}

function makeOwn(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  const stat = lstatSync(path);
  if (!stat.isDirectory() || stat.uid !== OWN_UID) throw new Error(`${path} is there but not a folder of this user; remove it or choose another`);
  if ((stat.mode & 0o777) !== mode) chmodSync(path, mode);
}

/** Makes a folder in one that only the agent can write to; one that is there already must have the right owner. */
function makeFolder(path: string, mode: number, user?: User): void {
  const owner = user?.uid ?? OWN_UID;
  try {
    mkdirSync(path, { mode });
    if (user && ROOT) chownSync(path, user.uid, user.gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const stat = lstatSync(path);
    if (!stat.isDirectory() || stat.uid !== owner) throw new Error(`${path} is there but is not a folder of user ${owner}`, { cause: error });
  }
}

function writeNew(path: string, content: string, mode: number, user: User): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    writeSync(descriptor, content);
    if (mode !== 0o600) fchmodSync(descriptor, mode);
    if (ROOT) fchownSync(descriptor, user.uid, user.gid);
  } finally {
    closeSync(descriptor);
  }
}

export function inside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function tryReal(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // not there
  }
}
