"""A fixed model, data-parallel over all ranks by gloo: 50 ms steps, a checkpoint each 20. Under torchrun, with Muster or without.

Rank 0 notes each step in $STEPS_FILE as `<unix ms> <pid> <step>`: what is measured, whoever runs it.
"""
import json
import os
import signal
import sys
import time
import urllib.request

import torch
import torch.distributed as dist

STEPS = 1_000_000
STEP_SECONDS = 0.05
CHECKPOINT_EVERY = 20
WIDTH = 256


def say(line):
    os.write(1, (line + "\n").encode())


def newest(folder):
    """The checkpoint to resume from: what Muster says, or without it the newest of the folder."""
    if "MUSTER_JOB_ID" in os.environ:
        path = os.environ.get("MUSTER_RESUME_FROM", "")
        if os.path.isfile(path):
            with open(path) as file:
                path = file.read().strip()
        return os.path.join(path, "state.pt") if os.path.isfile(os.path.join(path, "state.pt")) else None
    steps = [name for name in os.listdir(folder) if name.startswith("step-") and "." not in name]
    return os.path.join(folder, max(steps, key=lambda name: int(name[5:])), "state.pt") if steps else None


def save(folder, step, weights):
    path = os.path.join(folder, "step-{}".format(step))
    if not os.path.isdir(path):
        new = "{}.new-{}".format(path, os.getpid())
        os.makedirs(new)
        torch.save({"step": step, "weights": weights}, os.path.join(new, "state.pt"))
        os.rename(new, path)
    say("saved {} {}".format(step, path))
    return path


def commit_by_api(step, path):
    with open(os.environ["MUSTER_TOKEN_FILE"]) as file:
        token = file.read().strip()
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
    url = "{MUSTER_API}/v1/jobs/{MUSTER_JOB_ID}/checkpoints".format(**os.environ)
    body = json.dumps({"step": step, "path": path}).encode()
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(url, body, headers), timeout=10):
            say("zombie committed {}".format(step))
    except OSError as error:
        say("zombie could not commit {}: {}".format(step, error))


def main():
    torch.set_num_threads(1)
    torch.manual_seed(7)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    folder = os.environ.get("MUSTER_CHECKPOINT_DIR") or os.environ["CHECKPOINTS"]
    weights = torch.randn(WIDTH, WIDTH) / WIDTH**0.5
    begin = torch.zeros(1, dtype=torch.long)
    found = newest(folder) if rank == 0 else None
    if found:
        state = torch.load(found, map_location="cpu")
        weights, begin[0] = state["weights"], state["step"]
    dist.broadcast(begin, 0)
    dist.broadcast(weights, 0)
    step = int(begin)
    bug = int(os.environ.get("BUG_AT", "0"))
    notes = os.open(os.environ["STEPS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666) if rank == 0 else None

    def wake(_number, _frame):
        # a zombie's worst: what it commits now, far ahead of all others, must count for nothing
        commit_by_api(step + 100_000, save(folder, step + 100_000, weights))

    if rank == 0 and os.environ.get("ZOMBIE"):
        signal.signal(signal.SIGCONT, wake)
    say("rank {} of {} begins at {}".format(rank, world, step))
    while step < STEPS:
        began = time.monotonic()
        x = torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(step * world + rank))
        gradient = x.t() @ (x @ weights - x) / len(x)
        dist.all_reduce(gradient)
        weights -= 0.01 / world * gradient
        step += 1
        if step == bug:
            raise RuntimeError("a bug of the program")
        time.sleep(max(0.0, began + STEP_SECONDS - time.monotonic()))
        if rank == 0:
            os.write(notes, "{} {} {}\n".format(time.time_ns() // 1_000_000, os.getpid(), step).encode())
            say("step={}".format(step))
            if step % CHECKPOINT_EVERY == 0:
                save(folder, step, weights)


main()
