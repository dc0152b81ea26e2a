import type { LaunchFile } from "./types.ts";

/*
 * Starts a node's ranks where the framework has nothing for that, or nothing that is quick: only the standard library, so it is
 * up in some hundredths of a second.
 */
const LOCAL_RANKS = String.raw`"""local-ranks.py jax|torch DEVICES_PER_RANK python|command WORDS...: runs the node's ranks; one failed ends all."""
import os
import signal
import subprocess
import sys
import time

# seconds in which the other ranks may still show what really happened
WINDOW = 1


def jax(local, per_rank, first):
    env = {"JAX_PROCESS_ID": str(first + local)}
    if per_rank:
        env["JAX_LOCAL_DEVICE_IDS"] = ",".join(str(local * per_rank + i) for i in range(per_rank))
    return env


def torch(local, _per_rank, first):
    return {"LOCAL_RANK": str(local), "RANK": str(first + local), "ROLE_RANK": str(first + local)}


def report(failed):
    """As torchrun has it, so that whoever reads the one reads the other."""
    for number, (rank, local, code, pid) in enumerate(failed):
        sys.stderr.write("[{}]:\n  rank      : {} (local_rank: {})\n  exitcode  : {} (pid: {})\n".format(number, rank, local, code, pid))
    sys.stderr.flush()


def main(variables, per_rank, words):
    first = int(os.environ["MUSTER_FIRST_RANK"])
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rank.py")
    ranks = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: [process.send_signal(number) for process, _ in ranks.values()])
    for local in range(int(os.environ["MUSTER_RANKS_PER_NODE"])):
        process = subprocess.Popen([sys.executable, script] + words, env=dict(os.environ, **variables(local, per_rank, first)))
        ranks[process.pid] = process, local
    failed = []
    until = None
    while ranks and (until is None or time.monotonic() < until):
        pid, status = os.waitpid(-1, 0 if until is None else os.WNOHANG)
        if pid == 0:
            time.sleep(0.01)
        elif pid in ranks:
            process, local = ranks.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                failed.append((first + local, local, process.returncode, pid))
                until = until or time.monotonic() + WINDOW
    for process, _ in ranks.values():
        process.kill()
    report(failed)
    code = failed[0][2] if failed else 0
    return code if code >= 0 else 128 - code


sys.exit(main({"jax": jax, "torch": torch}[sys.argv[1]], int(sys.argv[2]), sys.argv[3:]))
`;

export const localRanksFile: LaunchFile = { path: "local-ranks.py", content: LOCAL_RANKS };
