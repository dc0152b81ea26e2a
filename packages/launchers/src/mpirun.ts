import type { Framework, LaunchContext } from "./types.ts";

/**
 * Open MPI without ssh. mpirun runs in worker 0; where it would log in to another node, its remote-shell hook puts the
 * command into the attempt's shared directory, and the worker waiting there becomes the daemon (`orted`) that mpirun asked
 * for: its exit code and signals are the worker's own.
 */
export const mpirun: Framework = (context) => {
  if (context.nodeRank > 0)
    return { argv: ["/bin/sh", "${MUSTER_DIR}/mpirun-member", host(context.nodeRank)], env: {}, files: [{ path: "mpirun-member", content: PRELUDE + MEMBER }] };
  return {
    argv: [
      "/bin/sh",
      "${MUSTER_DIR}/mpirun-first",
      "mpirun",
      "--mca",
      "plm_rsh_agent",
      "/bin/sh ${MUSTER_DIR}/mpirun-hook",
      // every daemon is asked for here: a daemon elsewhere has no hook to start others
      "--mca",
      "plm_rsh_no_tree_spawn",
      "1",
      // the daemon stays the worker's process instead of going into the background
      "--leave-session-attached",
      ...sharedMachine(context),
      "--host",
      context.members.map((member) => `${host(member.nodeRank)}:${context.ranks}`).join(","),
      "-np",
      String(context.worldSize),
      "--map-by",
      `ppr:${context.ranks}:node`,
      "--bind-to",
      "none",
      "--tag-output",
      ...context.args,
      ...context.run,
    ],
    env: {},
    files: [
      { path: "mpirun-first", content: PRELUDE + FIRST },
      { path: "mpirun-hook", content: HOOK },
    ],
  };
};

/** A name for mpirun alone; no resolver is asked for it. */
function host(nodeRank: number): string {
  return nodeRank === 0 ? "localhost" : `muster-${nodeRank}`;
}

/** Simulated nodes have one host name, by which Open MPI names its shared memory: between them, and within, it goes over TCP. */
function sharedMachine(context: LaunchContext): string[] {
  return [
    ...(context.sameHost ? ["--mca", "btl", "self,tcp"] : []),
    ...(context.loopback ? ["--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo"] : []),
  ];
}

/** Open MPI keeps its sessions in TMPDIR by host name, so workers of one machine need one each. */
const PRELUDE = String.raw`#!/bin/sh
handover=$MUSTER_SHARED_DIR/mpirun-$MUSTER_ROLE
TMPDIR=$handover/tmp-$MUSTER_NODE_RANK
export TMPDIR
mkdir -p "$TMPDIR" || exit 1
if [ "$(id -u)" = 0 ]; then
  OMPI_ALLOW_RUN_AS_ROOT=1
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
fi
`;

const FIRST = String.raw`# mpirun-first WORDS...: runs mpirun; when it ends, members that it never called end too.
"$@" &
pid=$!
for signal in HUP INT TERM USR1 USR2; do
  trap "kill -$signal $pid" $signal
done
wait $pid
code=$?
# a trapped signal ends the wait early
while kill -0 $pid 2>/dev/null; do
  wait $pid
  code=$?
done
: >"$handover/ended"
exit $code
`;

const MEMBER = String.raw`# mpirun-member NAME: becomes the daemon that mpirun asks of this worker.
until [ -e "$handover/$1" ]; do
  [ -e "$handover/ended" ] && exit 0
  sleep 0.1
done
exec /bin/sh -c "$(cat "$handover/$1")"
`;

const HOOK = String.raw`#!/bin/sh
# mpirun-hook NAME COMMAND...: hands a command that mpirun wants to run on a worker to that worker.
handover=$MUSTER_SHARED_DIR/mpirun-$MUSTER_ROLE
name=$1
shift
printf '%s\n' "$*" >"$handover/$name.new" && mv "$handover/$name.new" "$handover/$name"
`;
