import { literal } from "@muster/model";
import { findPython, findPythonFile, program } from "./python.ts";
import { rankFile } from "./rank-file.ts";
import type { Framework, LaunchContext, LaunchFile } from "./types.ts";

/**
 * JAX processes for `jax.distributed.initialize`, which reads JAX_COORDINATOR_ADDRESS and JAX_LOCAL_DEVICE_IDS by itself;
 * the program passes `num_processes` and `process_id` from JAX_NUM_PROCESSES and JAX_PROCESS_ID.
 */
export const jax: Framework = (context) => {
  const { kind, words } = program(context.run);
  const env = {
    JAX_COORDINATOR_ADDRESS: literal(coordinator(context)),
    JAX_NUM_PROCESSES: String(context.worldSize),
  };
  if (context.ranks === 1) {
    return {
      argv: kind === "python" ? [...findPython("jax"), "-u", ...words] : words,
      env: { ...env, JAX_PROCESS_ID: String(context.nodeRank) },
      files: kind === "python" ? [findPythonFile] : [],
    };
  }
  return {
    argv: [...findPython("jax"), "-u", "${MUSTER_DIR}/local-ranks.py", String(devicesPerRank(context)), kind, ...words],
    env,
    files: [findPythonFile, rankFile, localRanksFile],
  };
};

function coordinator({ rendezvous: { address, port } }: LaunchContext): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whole devices for each process of a node; 0 where they share what there is. */
function devicesPerRank(context: LaunchContext): number {
  const { accelerators } = context.role.resources;
  return accelerators % context.ranks === 0 ? accelerators / context.ranks : 0;
}

const LOCAL_RANKS = String.raw`"""local-ranks.py DEVICES_PER_RANK python|command WORDS...: runs the node's JAX processes; one failed ends all."""
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 30


def start(local, per_rank, words):
    env = dict(os.environ, JAX_PROCESS_ID=str(int(os.environ["MUSTER_FIRST_RANK"]) + local))
    if per_rank:
        env["JAX_LOCAL_DEVICE_IDS"] = ",".join(str(local * per_rank + i) for i in range(per_rank))
    rank = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rank.py")
    return subprocess.Popen([sys.executable, rank] + words, env=env)


def main(per_rank, words):
    ranks = {}
    stopping = False

    def stop(number, _frame=None):
        nonlocal stopping
        for process in ranks.values():
            process.send_signal(number)
        if not stopping:
            stopping = True
            timer = threading.Timer(GRACE_SECONDS, lambda: [process.kill() for process in ranks.values()])
            timer.daemon = True
            timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for local in range(int(os.environ["MUSTER_RANKS_PER_NODE"])):
        process = start(local, per_rank, words)
        ranks[process.pid] = process
    code = 0
    while ranks:
        pid, status = os.wait()
        process = ranks.pop(pid, None)
        if process is None:
            continue
        ended = os.waitstatus_to_exitcode(status)
        process.returncode = ended
        if ended != 0 and code == 0:
            code = ended if ended > 0 else 128 - ended
            stop(signal.SIGTERM)
    return code


sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
`;

const localRanksFile: LaunchFile = { path: "local-ranks.py", content: LOCAL_RANKS };
