import { realpathSync } from "node:fs";
import { join } from "node:path";
import type { WorkerStart } from "@muster/engine";
import { volumePath } from "./admission.ts";
import { inside } from "./area.ts";
import type { AgentConfig } from "./config.ts";
import type { User } from "./users.ts";

/*
 * Mounts are made in a mount namespace of the worker's own, by a root shell that then gives up its privileges for good.
 * Paths are arguments, never part of the script, and none of the worker's variables are there.
 */
const SCRIPT = `uid=$1; gid=$2; shift 2
while [ "$1" != -- ]; do
  [ -d "$2" ] || mkdir -p -- "$2" || exit 125
  mount --bind -- "$1" "$2" || exit 125
  if [ "$3" = ro ]; then mount -o remount,bind,ro,nosuid,nodev -- "$2" || exit 125; else mount -o remount,bind,nosuid,nodev -- "$2" || exit 125; fi
  shift 3
done
shift
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups --no-new-privs -- "$@"`;

const FORBIDDEN = ["/proc", "/sys", "/dev", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/usr", "/boot"];

/** Words to put before a worker's shim so that it sees the mounts. Throws where one can't be made. */
export function mountWrap(config: AgentConfig, mounts: WorkerStart["mounts"], user: User): string[] {
  const words: string[] = [];
  for (const { at, from, readOnly } of mounts) {
    const volume = volumePath(config, from);
    if (!volume) throw new Error(`this agent knows no volume ${from}`);
    if (at === "/" || FORBIDDEN.some((folder) => inside(folder, at)) || inside(config.state_dir, at)) throw new Error(`nothing can be mounted at ${at}`);
    const root = realpathSync(volume.root);
    const real = realpathSync(join(root, volume.below));
    if (!inside(root, real)) throw new Error(`volume ${from} leads out of its directory`);
    words.push(real, at, readOnly ? "ro" : "rw");
  }
  return [
    "/usr/bin/env",
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "--",
    "/bin/sh",
    "-c",
    SCRIPT,
    "muster-mounts",
    String(user.uid),
    String(user.gid),
    ...words,
    "--",
  ];
}
