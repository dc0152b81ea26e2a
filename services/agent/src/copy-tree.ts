import { constants, fchmodSync, fchownSync, type BigIntStats } from "node:fs";
import { copyFile, mkdir, open, readdir, readlink, symlink, type FileHandle } from "node:fs/promises";
import { isAbsolute, join } from "node:path";

/*
 * Copies a tree that its owner may be changing, as someone with more rights than the owner. Each folder is opened without
 * following links and its entries are reached through the open descriptor (/proc/self/fd), so nothing planted on the way
 * can lead elsewhere; only the owner's ordinary files and folders are taken.
 */

const MAX_DEPTH = 32;
const MAX_FILES = 200_000;

export class TreeChanged extends Error {
  override name = "TreeChanged";
}

interface Copying {
  uid: number;
  gid: number;
  files: number;
}

/**
 * Copies `from` to `to`, which must not exist; files are read-only to `gid` afterwards, and on disk.
 * Throws TreeChanged where something changed while it was copied.
 */
export async function copyTree(from: string, to: string, owner: { uid: number; gid: number }): Promise<void> {
  await copyEntry(from, to, { ...owner, files: 0 }, 0);
}

async function copyEntry(from: string, to: string, copying: Copying, depth: number): Promise<void> {
  if (depth > MAX_DEPTH) throw new Error(`the checkpoint is more than ${MAX_DEPTH} folders deep`);
  if (++copying.files > MAX_FILES) throw new Error(`the checkpoint has more than ${MAX_FILES} files`);
  let handle: FileHandle;
  try {
    handle = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ELOOP") return copyLink(from, to);
    if (code === "ENOENT") throw new TreeChanged("a file went away while it was copied", { cause: error });
    throw error;
  }
  try {
    const before = await handle.stat({ bigint: true });
    if (Number(before.uid) !== copying.uid && process.getuid?.() === 0) throw new Error("the checkpoint holds files of another user");
    if (before.isDirectory()) await copyFolder(handle, to, copying, depth);
    else if (before.isFile()) await copyOne(handle, to, copying);
    else throw new Error("the checkpoint holds something that is neither a file nor a folder");
    const after = await handle.stat({ bigint: true });
    if (changed(before, after)) throw new TreeChanged("the checkpoint changed while it was copied");
  } finally {
    await handle.close();
  }
}

async function copyFolder(handle: FileHandle, to: string, copying: Copying, depth: number): Promise<void> {
  const reach = `/proc/self/fd/${handle.fd}`;
  await mkdir(to, { mode: 0o750 });
  for (const name of await readdir(reach)) await copyEntry(join(reach, name), join(to, name), copying, depth + 1);
  await seal(to, 0o750, copying.gid);
}

async function copyOne(handle: FileHandle, to: string, copying: Copying): Promise<void> {
  await copyFile(`/proc/self/fd/${handle.fd}`, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await seal(to, 0o640, copying.gid);
}

async function copyLink(from: string, to: string): Promise<void> {
  const target = await readlink(from);
  if (isAbsolute(target) || target.split("/").includes("..")) throw new Error("the checkpoint holds a link that leads out of it");
  await symlink(target, to);
}

/** Mode, group and disk, in this order, of something that only the agent can write to. */
async function seal(path: string, mode: number, gid: number): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if (process.getuid?.() === 0) fchownSync(handle.fd, 0, gid);
    fchmodSync(handle.fd, mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function changed(before: BigIntStats, after: BigIntStats): boolean {
  return before.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs || before.size !== after.size || before.ino !== after.ino;
}
