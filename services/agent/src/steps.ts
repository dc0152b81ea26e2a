import { chownSync, closeSync, constants, fchmodSync, fchownSync, lchownSync, lstatSync, mkdirSync, openSync, rmdirSync, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./slots.ts";

/*
 * What is made on disk for a worker before it starts, and taken away when its attempt is forgotten, as data: the
 * perl process does it where there is one, and else what is here. Every step is one in a folder that only the agent can
 * write to, or that is not yet the worker's.
 */

export interface Owner {
  uid: number;
  gid: number;
}

export interface Step {
  /**
   * `checkpoint`: an attempt's folder, and the job's around it, either of which may be there. `folder`: the worker's, with
   * files in it; the token comes first. `ensure`: a folder in it. `own`: hands over what was made before.
   */
  make: "checkpoint" | "folder" | "ensure" | "file" | "own";
  path: string;
  mode: number;
  owner: Owner;
  content: string;
}

/** What is left of an attempt that is forgotten. */
export interface Leftover {
  /** Removed with all that is in them. */
  folders: string[];
  /** Removed if nothing is in it, and then the link beside it; and the folder of both, if nothing else is in that. */
  checkpoint?: { folder: string; link: string };
}

/** A file that every worker has: where it is all that is left, the folder needs no walk. */
const TOKEN = "token";
const PLAIN_BITS = 0o600;
const OWN_UID = process.getuid?.() ?? 0;
const OWN = { uid: OWN_UID, gid: process.getgid?.() ?? 0 };

/** Throws with the first step that can't be done. */
export function takeSteps(steps: readonly Step[]): void {
  for (const step of steps) {
    if (step.make === "checkpoint") ensureFolder(dirname(step.path), 0o711, OWN);
    if (step.make === "ensure" || step.make === "checkpoint") ensureFolder(step.path, step.mode, step.owner);
    else if (step.make === "folder") mkdirSync(step.path, { mode: step.mode });
    else if (step.make === "file") writeNew(step.path, step.content, step.mode, step.owner);
    else if (step.owner.uid !== OWN_UID) chownSync(step.path, step.owner.uid, step.owner.gid);
  }
}

/** Makes a folder in one that only the agent can write to; one that is there already must have the right owner. */
export function ensureFolder(path: string, mode: number, owner: Owner): void {
  try {
    mkdirSync(path, { mode });
    if (owner.uid !== OWN.uid || owner.gid !== OWN.gid) lchownSync(path, owner.uid, owner.gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const stat = lstatSync(path);
    if (!stat.isDirectory() || stat.uid !== owner.uid) throw new Error(`${path} is there but is not a folder of user ${owner.uid}`, { cause: error });
  }
}

/** Makes a file that must not be there yet. */
export function writeNew(path: string, content: string, mode: number, owner: Owner): void {
  const plain = (mode & ~PLAIN_BITS) === 0;
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, plain ? mode : PLAIN_BITS);
  try {
    writeSync(descriptor, content);
    if (!plain) fchmodSync(descriptor, mode);
    if (owner.uid !== OWN_UID) fchownSync(descriptor, owner.uid, owner.gid);
  } finally {
    closeSync(descriptor);
  }
}

/** Rejects with what `rm` said where something could not be removed. */
export async function removeLeftovers(leftovers: readonly Leftover[]): Promise<void> {
  const rest: string[] = [];
  for (const { folders, checkpoint } of leftovers) {
    for (const folder of folders) {
      attempt(() => unlinkSync(join(folder, TOKEN)));
      if (!attempt(() => rmdirSync(folder))) rest.push(folder);
    }
    if (checkpoint && attempt(() => rmdirSync(checkpoint.folder))) {
      attempt(() => unlinkSync(checkpoint.link));
      attempt(() => rmdirSync(dirname(checkpoint.folder)));
    }
  }
  // rm walks by descriptors, so a link planted meanwhile leads it nowhere
  if (rest.length > 0) await run("rm", ["-rf", "--", ...rest]);
}

function attempt(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
