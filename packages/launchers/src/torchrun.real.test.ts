import { afterAll, describe, expect, it } from "vitest";
import { available, Gang, until } from "./run-for-test.ts";

const here = available(
  "PyTorch",
  "/usr/bin/python3",
  ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"],
  "apt-get install python3-torch",
);

const SUM = `
import os, sys, torch, torch.distributed as dist
dist.init_process_group("gloo")
value = torch.tensor([float(dist.get_rank())])
dist.all_reduce(value)
print("sum", value.item(), "rank", dist.get_rank(), "local", os.environ["LOCAL_RANK"], "args", sys.argv[1:])
print("on stderr", file=sys.stderr)
dist.barrier()
`;

const DIES = `
import os, time, torch.distributed as dist
dist.init_process_group("gloo")
print("up", os.getpid())
time.sleep(60 if dist.get_rank() != 3 else 600)
`;

const TWO_BY_TWO = { launcher: "torchrun", nodes: 2, resources: { accelerators: 2, cpus: 2 }, run: ["train.py", "--x", "a b"] };

describe.skipIf(!here)("torchrun for real", () => {
  const gang = new Gang();
  afterAll(() => gang.end());

  it("reduces over two nodes of two ranks, each line with its rank", async () => {
    const { ended } = await gang.start(TWO_BY_TWO, { "train.py": SUM });
    const workers = await ended;
    expect(workers).toMatchObject([{ code: 0 }, { code: 0 }]);
    for (const [node, { output }] of workers.entries()) {
      for (const local of [0, 1]) {
        const rank = 2 * node + local;
        expect(output).toContain(`[rank${rank}] sum 6.0 rank ${rank} local ${local} args ['--x', 'a b']\n`);
        expect(output).toContain(`[rank${rank}] on stderr\n`);
      }
    }
  });

  it("ends the worker of a rank that was killed, restarting nothing", async () => {
    const { workers } = await gang.start(TWO_BY_TWO, { "train.py": DIES });
    await until("all ranks up", () => workers.every((worker) => worker.output().split("] up ").length === 3));
    const pid = Number(/\[rank3\] up (\d+)/.exec(workers[1]?.output() ?? "")?.[1]);
    process.kill(pid, "SIGKILL");
    const ended = await workers[1]?.ended;
    expect(ended?.code).toBe(1);
    expect(ended?.output).toMatch(/exitcode\s*: -9/);
    expect(ended?.output.split("] up ").length).toBe(3);
  });

  it("says what is missing where no interpreter has the module", async () => {
    const { workers } = await gang.start({ launcher: "deepspeed", run: ["train.py"] }, {});
    const ended = await workers[0]?.ended;
    expect(ended?.code).toBe(127);
    expect(ended?.output).toContain("no interpreter here has the module deepspeed");
  });
});
