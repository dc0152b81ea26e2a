import { literal, type ResolvedJobSpec } from "@muster/model";
import { findPython, findPythonFile } from "./python.ts";
import type { Launch, LaunchContext, LaunchFile } from "./types.ts";

/*
 * The check before a start runs as the worker's first process: as the job's user, with its devices, limits and image, whatever the
 * engine. What it ends with is told by lines that `packages/lifecycle` reads (preflight.ts).
 */
const PREFLIGHT = String.raw`#!/bin/sh
# preflight SECONDS COUNT WORDS...: runs the first COUNT words, for at most so many SECONDS; where they end well, becomes the rest.
seconds=$1
count=$2
shift 2

run_first() {
  left=$#
  place=0
  while [ "$left" -gt 0 ]; do
    if [ "$place" -lt "$count" ]; then set -- "$@" "$1"; fi
    shift
    place=$((place + 1))
    left=$((left - 1))
  done
  timeout -k 5 "$seconds" "$@"
}

# a request to checkpoint must not end what has nothing to save yet; the program has its own way with it again
trap : USR1 USR2 HUP
began=$(date +%s)
run_first "$@" </dev/null
code=$?
took=$(($(date +%s) - began))
if [ "$code" -eq 0 ]; then
  echo "muster preflight: passed after $took s" >&2
  shift "$count"
  trap - USR1 USR2 HUP
  exec "$@"
  exit 127
fi
if [ "$took" -ge "$seconds" ] && { [ "$code" -eq 124 ] || [ "$code" -ge 137 ]; }; then
  echo "muster preflight: timed out after $seconds s" >&2
else
  echo "muster preflight: failed after $took s: exit code $code" >&2
fi
exit 94
`;

const PAIRWISE = String.raw`"""pairwise.py SECONDS ROUND...: exchanges data with another node in each round, given as NUMBER,PEER,SIDE,HOST,PORT.

Each exchange is a process of its own, which can be ended where the other side never answers. Fails where none of them succeeded."""
import os
import subprocess
import sys
import time

COUNT = 1 << 22  # numbers of four bytes
TIMES = 4


def exchange(number, side, host, port, seconds):
    from datetime import timedelta
    import torch
    import torch.distributed as dist

    limit = timedelta(seconds=seconds)
    end = time.monotonic() + seconds
    while True:
        # the other one may still be in its round before, on the same port
        try:
            store = dist.TCPStore(host, port, None, side == 0, timeout=limit, wait_for_workers=False)
            store = dist.PrefixStore("round-%d" % number, store)
            store.set("here-%d" % side, "1")
            store.get("here-%d" % (1 - side))
            break
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    device, backend = torch.device("cpu"), "gloo"
    if torch.cuda.is_available():
        device, backend = torch.device("cuda", 0), "nccl"
    elif hasattr(torch, "npu") and torch.npu.is_available():
        device, backend = torch.device("npu", 0), "hccl"
    dist.init_process_group(backend, store=store, rank=side, world_size=2, timeout=limit)
    for turn in range(TIMES):
        data = torch.full((COUNT,), float(side + turn), device=device)
        dist.all_reduce(data)
        if not bool((data == 2 * turn + 1).all()):
            sys.exit("what came back is not what was sent")
    # neither goes before both have all
    store.set("done-%d" % side, "1")
    store.get("done-%d" % (1 - side))
    if side == 0:
        time.sleep(0.2)
    # the other side may be gone: nothing is left to tell it
    os._exit(0)


def main(seconds, rounds):
    began = time.monotonic()
    # the last round ends in time for what it says to be read
    whole = seconds - min(5.0, seconds / 10)
    passed = 0
    for index, given in enumerate(rounds):
        number, peer, side, host, port = given.split(",")
        end = began + whole * (index + 1) / len(rounds)
        start = time.monotonic()
        words = [sys.executable, os.path.abspath(__file__), "exchange", number, side, host, port, str(end - start)]
        why = "the other side did not answer"
        try:
            done = subprocess.run(words, timeout=max(0.1, end - start), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
            ok = done.returncode == 0
            why = (done.stderr.strip().splitlines() or ["exit code %d" % done.returncode])[-1][:300]
        except subprocess.TimeoutExpired:
            ok = False
        took = "after %.1f s" % (time.monotonic() - start)
        passed += ok
        sys.stderr.write("muster preflight: round %s with node %s: %s\n" % (number, peer, "passed " + took if ok else "failed " + took + ": " + why))
        sys.stderr.flush()
    sys.exit(0 if passed or not rounds else 1)


if sys.argv[1] == "exchange":
    exchange(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), float(sys.argv[6]))
else:
    main(float(sys.argv[1]), sys.argv[2:])
`;

const preflightFile: LaunchFile = { path: "preflight", content: PREFLIGHT };
const pairwiseFile: LaunchFile = { path: "pairwise.py", content: PAIRWISE };

/** The same worker, with the job's check before it. */
export function withPreflight(
  context: LaunchContext,
  preflight: NonNullable<ResolvedJobSpec["preflight"]>,
  fill: (text: string) => string,
  launched: Launch,
): Launch {
  const { run, timeout } = preflight;
  const check = run === "pairwise" ? [...findPython("torch"), "${MUSTER_DIR}/pairwise.py", String(timeout), ...rounds(context)] : run.map(fill);
  const files = [preflightFile, ...(run === "pairwise" ? [pairwiseFile, findPythonFile] : []), ...launched.files];
  return {
    ...launched,
    argv: ["/bin/sh", "${MUSTER_DIR}/preflight", String(timeout), String(check.length), ...check, ...launched.argv],
    files: [...new Map(files.map((file) => [file.path, file])).values()],
  };
}

/** Of each round the number, the partner, which of the two keeps the store, and where. */
function rounds(context: LaunchContext): string[] {
  const { members, nodeRank, partners = [], rendezvous, sameHost } = context;
  return partners.flatMap((partner, index) => {
    if (partner === undefined) return [];
    const host = Math.min(partner, nodeRank);
    // the gang's own port, which its ranks don't use yet; simulated nodes of one machine share its address
    const port = rendezvous.port + (sameHost ? host : 0);
    return [literal(`${index + 1},${partner},${nodeRank === host ? 0 : 1},${members[host]?.address ?? rendezvous.address},${port}`)];
  });
}
