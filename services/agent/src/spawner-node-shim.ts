import type { WorkerOrder } from "./spawner.ts";
import type { StartOrder } from "./spawner-node-process.ts";

/*
 * The shim: a POSIX shell that joins its groups, runs the program as its child and writes the exit record. The program's
 * words are arguments ("$@"), never part of the script. Its own standard error is the exit record, so that what the shell
 * says of a death by signal stands there; the program's goes to the output pipe. A trap keeps it through signals sent to
 * the whole session; unlike an ignored signal, a trap isn't inherited.
 */
function script(groups: number): string {
  let join = "";
  for (let descriptor = 3; descriptor < 3 + groups; descriptor++) join += `echo 0 >&${descriptor} && exec ${descriptor}>&- || exit 125; `;
  return `trap : HUP INT TERM USR1 USR2 CONT; ${join}id=$1; shift; (exec "$@" 2>&1); code=$?; echo "$id $code" >&2; exit $code`;
}

const SCRIPTS = [0, 1, 2, 3].map(script);

/** What a helper is told, so that the shim starts in a session of its own. */
export function shimOrder({ id, slot, files, argv, env, cwd, user }: WorkerOrder): StartOrder {
  return {
    id,
    slot,
    files,
    words: ["/bin/sh", "-c", SCRIPTS[files.length - 2] as string, "muster-worker", String(id), ...argv],
    env,
    cwd,
    ...user,
  };
}
