"""Trains a small transformer language model, data-parallel over all ranks, so that a broken run ends as an unbroken one.

Whatever a step needs follows from the seed and the step's number, so a run resumed from step N goes on exactly as one that
was never broken. Runs under torchrun, with Muster or without.
"""
import argparse
import json
import math
import os
import queue
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

# read when torch is loaded (which name counts depends on its build): DDP would warn of an option that is meant
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
os.environ.setdefault("GLOG_minloglevel", "2")

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

VOCABULARY = 64
WIDTH = 64
LAYERS = 2
HEADS = 4
CONTEXT = 32
BATCH = 8
SEED = 20_240_917
STATE_FILE = "state.pt"
EXIT_STOPPED = 128 + signal.SIGTERM


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps in all")
    parser.add_argument("--checkpoint-every", type=int, default=20, help="steps from one checkpoint to the next")
    parser.add_argument("--step-time-floor", type=float, default=0.0, help="seconds that a step takes at least")
    parser.add_argument("--commit", choices=["api", "log"], default="api", help="how checkpoints are committed: by Muster's API, or by a log line")
    return parser.parse_args()


def say(line):
    """One write a line, so that lines of ranks that share a pipe don't mix."""
    os.write(1, (line + "\n").encode())


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.norm_2 = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)
        self.register_buffer("future", torch.full((CONTEXT, CONTEXT), float("-inf")).triu(1), persistent=False)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (part.view(batch, length, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norm_1(x)).chunk(3, dim=-1))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(WIDTH // HEADS)
        weights = (scores + self.future[:length, :length]).softmax(dim=-1)
        x = x + self.mix((weights @ v).transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(torch.relu(self.up(self.norm_2(x))))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens):
        x = self.token(tokens) + self.place.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


class Language:
    """Text to learn: each token has four likely followers."""

    def __init__(self):
        generator = torch.Generator().manual_seed(SEED)
        self.followers = torch.randint(VOCABULARY, (VOCABULARY, 4), generator=generator)

    def batch(self, step, rank, world):
        generator = torch.Generator().manual_seed(SEED + 1 + step * world + rank)
        tokens = torch.empty(BATCH, CONTEXT + 1, dtype=torch.long)
        tokens[:, 0] = torch.randint(VOCABULARY, (BATCH,), generator=generator)
        # the first follower is the likeliest: the smaller of two throws
        choices = torch.randint(4, (2, BATCH, CONTEXT), generator=generator).amin(dim=0)
        for place in range(CONTEXT):
            tokens[:, place + 1] = self.followers[tokens[:, place], choices[:, place]]
        return tokens[:, :-1], tokens[:, 1:]


class Requests:
    """What was asked of this rank since it was last looked at: a checkpoint, or to stop."""

    def __init__(self):
        self.checkpoint = False
        self.stop = False
        self.file = os.environ.get("MUSTER_CONTROL_FILE")
        self.number = self.read()
        signal.signal(signal.SIGUSR1, self.on_checkpoint)
        signal.signal(signal.SIGTERM, self.on_stop)

    def on_checkpoint(self, _number, _frame):
        self.checkpoint = True

    def on_stop(self, _number, _frame):
        self.stop = True

    def read(self):
        try:
            with open(self.file) as file:
                return int(file.read().strip() or 0)
        except (OSError, TypeError, ValueError):
            return 0

    def take(self):
        number = self.read()
        checkpoint = self.checkpoint or number > self.number
        self.number, self.checkpoint = max(number, self.number), False
        return checkpoint, self.stop


class Commits:
    """Tells Muster of whole checkpoints. Training goes on while Muster cannot be reached; the newest is then sent again."""

    def __init__(self, by):
        token = os.environ.get("MUSTER_TOKEN_FILE")
        self.by_log = by == "log" or not (token and os.environ.get("MUSTER_API"))
        self.waiting = queue.Queue()
        if not self.by_log:
            with open(token) as file:
                self.token = file.read().strip()
            self.url = "{MUSTER_API}/v1/jobs/{MUSTER_JOB_ID}/checkpoints".format(**os.environ)
            self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
            threading.Thread(target=self.run, daemon=True).start()

    def add(self, step, path):
        if self.by_log:
            say("checkpoint step={} path={}".format(step, path))
        else:
            self.waiting.put((step, path))

    def run(self):
        while True:
            step, path = self.waiting.get()
            while not self.send(step, path) and self.waiting.empty():
                time.sleep(0.5)
            self.waiting.task_done()

    def send(self, step, path):
        body = json.dumps({"step": step, "path": path}).encode()
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json"}
        try:
            with self.open(urllib.request.Request(self.url, body, headers), timeout=10):
                say("committed checkpoint of step {}".format(step))
                return True
        except urllib.error.HTTPError as error:
            reason = error.read(500).decode(errors="replace")
            say("checkpoint of step {} was not accepted: {} {}".format(step, error.code, reason))
            return error.code not in (408, 429) and error.code < 500
        except OSError as error:
            say("checkpoint of step {} is not committed yet: {}".format(step, error))
            return False

    def finish(self, seconds):
        """Waits for what is still to be sent, but not for ever."""
        end = time.monotonic() + seconds
        while self.waiting.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.02)


def save(folder, step, model, optimizer):
    """Writes a checkpoint under another name and renames it, so that what bears the name is whole."""
    path = os.path.join(folder, "step-{}".format(step))
    if os.path.isdir(path):
        return path
    new = "{}.new-{}".format(path, os.getpid())
    os.makedirs(new)
    with open(os.path.join(new, STATE_FILE), "wb") as file:
        torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    parent = os.open(folder, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)
    return path


def resume_point():
    """The folder to resume from, if any; its real name, so that all ranks read the same one."""
    path = os.environ.get("MUSTER_RESUME_FROM")
    if path and os.path.isfile(path):
        with open(path) as file:
            path = file.read().strip()
    return os.path.realpath(path) if path and os.path.isfile(os.path.join(path, STATE_FILE)) else None


def main():
    options = arguments()
    requests = Requests()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    chief = rank == 0

    torch.manual_seed(SEED)
    model = LanguageModel()
    language = Language()
    step = 0
    place = [resume_point() if chief else None]
    dist.broadcast_object_list(place)
    state = torch.load(os.path.join(place[0], STATE_FILE), map_location="cpu") if place[0] else None
    if state:
        model.load_state_dict(state["model"])
        step = state["step"]
    # Without this, DDP puts gradients into other buckets after its first step. Then sums of four ranks are added up in
    # another order, and a resumed run ends with another last digit.
    parallel = DistributedDataParallel(model, find_unused_parameters=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    if state:
        optimizer.load_state_dict(state["optimizer"])
    folder = os.environ.get("MUSTER_CHECKPOINT_DIR", "checkpoints")
    if chief:
        os.makedirs(folder, exist_ok=True)
        size = sum(parameter.numel() for parameter in model.parameters())
        say("resumed at step={} from {}".format(step, place[0]) if state else "started: {} parameters, {} ranks".format(size, world))
    commits = Commits(options.commit) if chief else None
    say("rank {} of {} on {} is up, process {}".format(rank, world, os.environ.get("MUSTER_NODE") or socket.gethostname(), os.getpid()))

    shown = None
    rate = 0.0
    while step < options.steps:
        began = time.monotonic()
        inputs, targets = language.batch(step, rank, world)
        loss = cross_entropy(parallel(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        # ranks hear of requests at different times, and must act at the same step
        wanted, stopping = requests.take()
        shared = torch.tensor([float(loss.detach()), float(wanted), float(stopping)], dtype=torch.float64)
        dist.all_reduce(shared)
        shown = shared[0].item() / world
        stopping = shared[2].item() > 0
        time.sleep(max(0.0, began + options.step_time_floor - time.monotonic()))
        seconds = time.monotonic() - began
        rate = 1 / seconds if rate == 0 else 0.9 * rate + 0.1 / seconds
        if chief:
            say("step={}/{} loss={:.6f} rate={:.1f}".format(step, options.steps, shown, rate))
        if stopping or shared[1].item() > 0 or step % options.checkpoint_every == 0 or step == options.steps:
            if chief:
                commits.add(step, os.path.abspath(save(folder, step, model, optimizer)))
            dist.barrier()
        if stopping:
            if chief:
                commits.finish(10)
                say("stopped at step={}, as asked".format(step))
            dist.barrier()
            sys.exit(EXIT_STOPPED)
    if chief:
        commits.finish(10)
        say("finished step={}/{} loss={:.6f}".format(step, options.steps, shown) if shown is not None else "finished: nothing was left to do")
    dist.barrier()


main()
