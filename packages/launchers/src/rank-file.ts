import type { LaunchFile } from "./types.ts";

/*
 * One rank, started by a framework's launcher. Several ranks share the worker's one log, so each line gets its rank.
 * The framework's own way of doing that keeps all output in files without end and fails the rank when their disk is full.
 */
const RANK = String.raw`"""rank.py [--local_rank=N] python|command WORDS...: becomes one rank, whose lines begin with its number."""
import os
import signal
import sys

RANK_VARIABLES = ("RANK", "LOCAL_RANK", "JAX_PROCESS_ID")
LONGEST_LINE = 65536


def write(data):
    while data:
        try:
            data = data[os.write(2, data):]
        except OSError:
            return  # lines may be lost, the rank goes on


def prefix_lines(prefix):
    rest = b""
    while True:
        data = os.read(0, LONGEST_LINE)
        if not data:
            break
        *lines, rest = (rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if len(rest) >= LONGEST_LINE:
            lines, rest = lines + [rest], b""
        write(b"".join(prefix + line + b"\n" for line in lines))
    if rest:
        write(prefix + rest + b"\n")


def start_prefixing(prefix):
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        # what is sent to a rank that is asked to stop or to checkpoint must not end its output
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        # a grandchild: a rank that waits for all its children must not wait for this one, nor it be taken for a rank
        if os.fork() == 0:
            os.dup2(source, 0)
            env = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
            os.execve(sys.executable, [sys.executable, "-ISu", os.path.abspath(__file__), "prefix", prefix], env)
        os._exit(0)
    os.waitpid(child, 0)
    return sink


def main(words):
    local_rank = [words.pop(0)] if words[0].startswith("--local_rank=") else []
    kind = words.pop(0)
    if kind == "prefix":
        return prefix_lines(words[0].encode())
    after = 2 if words[0] == "-m" else 1
    words[after:after] = local_rank
    if int(os.environ.get("MUSTER_RANKS_PER_NODE", "1")) > 1:
        rank = os.environ.get("RANK") or os.environ.get("JAX_PROCESS_ID", "?")
        sink = start_prefixing("[rank" + rank + "] ")
        os.dup2(sink, 1)
        os.dup2(sink, 2)
    else:
        os.dup2(2, 1)
    if kind == "python":
        words = [sys.executable, "-u"] + words
    try:
        os.execvp(words[0], words)
    except OSError as error:
        os.write(2, ("muster: cannot run " + words[0] + ": " + error.strerror + "\n").encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


main(sys.argv[1:])
`;

export const rankFile: LaunchFile = { path: "rank.py", content: RANK };
