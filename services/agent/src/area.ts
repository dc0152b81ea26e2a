import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, lstatSync, mkdirSync, realpathSync, renameSync, statSync, symlinkSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { AttemptKey, WorkerKey, WorkerStart } from "@muster/engine";
import type { AgentConfig } from "./config.ts";
import { attemptName, workerName } from "./keys.ts";
import { ensureFolder, writeNew, type Leftover, type Step } from "./steps.ts";
import type { User } from "./users.ts";

/*
 * Where workers' folders lie. Every folder that a worker can write to sits in one that it can't, so that none can be
 * swapped for a link; what the agent puts there is written before the folder becomes the worker's.
 */

const OWN_UID = process.getuid?.() ?? 0;
const ROOT = OWN_UID === 0;
const OWN = { uid: OWN_UID, gid: process.getgid?.() ?? 0 };

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
    spreadOut(join(this.path, "run"));
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
   * The default one is made with the first worker's.
   */
  jobCheckpoints(job: string, dir: string | undefined): string {
    if (dir === undefined) {
      if (!this.checkpointRootMade) {
        makeOwn(this.checkpointRoot, 0o711);
        spreadOut(this.checkpointRoot);
      }
      this.checkpointRootMade = true;
      return join(this.checkpointRoot, job);
    }
    if (basename(dir) !== job) throw new Error(`the folder of a job's checkpoints must be named for the job: ${dir} does not end in /${job}`);
    const parent = dirname(dir);
    const roots = [this.checkpointRoot, ...this.config.checkpoint_roots];
    const allowed = !ROOT || roots.some((one) => inside(one, parent));
    if (!allowed)
      throw new Error(
        `checkpoint.dir ${parent} is not below a checkpoint root of this agent (${roots.join(", ")}); use one of those, or add it to the agent's checkpoint_roots`,
      );
    mkdirSync(parent, { recursive: true, mode: 0o755 });
    const real = realpathSync(parent);
    if (ROOT && !roots.some((one) => inside(tryReal(one), real))) throw new Error(`checkpoint.dir ${parent} leads out of its checkpoint root through a link`);
    ensureFolder(join(real, job), 0o711, OWN);
    return join(real, job);
  }

  /** Makes the folder that an attempt's workers on this agent share, for those who use it. */
  makeAttempt(key: AttemptKey, user: User, paths: WorkerPaths): void {
    ensureFolder(this.attemptDir(key), 0o710, { uid: OWN_UID, gid: user.gid });
    ensureFolder(paths.shared, 0o700, user);
  }

  /** What makes one worker's folder with its files in it. `fill` replaces path variables in a file's content. */
  workerSteps(start: WorkerStart, user: User, paths: WorkerPaths, fill: (text: string) => string): Step[] {
    const step = (make: Step["make"], path: string, mode: number, owner: User, content = ""): Step => ({ make, path, mode, owner, content });
    const steps = [
      step("checkpoint", paths.checkpoint, 0o700, user),
      step("folder", paths.dir, 0o700, OWN),
      step("file", paths.token, 0o400, user, start.token),
    ];
    for (const file of start.files) {
      const folder = dirname(file.path);
      if (folder !== ".") {
        let at = paths.dir;
        for (const part of folder.split("/")) steps.push(step("ensure", (at = join(at, part)), 0o700, user));
      }
      steps.push(step("file", join(paths.dir, file.path), file.mode ?? 0o600, user, fill(file.content)));
    }
    steps.push(step("own", paths.dir, 0, user));
    return steps;
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

  /** What is left of an attempt that is forgotten; never a checkpoint. */
  leftover(key: AttemptKey, workers: readonly WorkerKey[], checkpoint: string | undefined, resume: string | undefined): Leftover {
    const shared = this.attemptDir(key);
    const folders = [...workers.map((worker) => this.workerDir(worker)), ...(existsSync(shared) ? [shared] : [])];
    return {
      folders,
      ...(checkpoint !== undefined && resume !== undefined && { checkpoint: { folder: checkpoint, link: resume } }),
    };
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

/**
 * Says to file systems of the ext family that folders made in this one have nothing to do with each other. Else all lie in one
 * group, where each new one is searched for past all inodes that were freed in the last minutes: with many short jobs
 * that costs more than all else of a start. Where there is nobody to say it to, nothing is lost.
 */
function spreadOut(path: string): void {
  execFile("chattr", ["+T", "--", path], () => {});
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
