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

const SHOWS = `
import json, os, time
known = ("RANK", "WORLD_SIZE", "MASTER_", "LOCAL_", "GROUP_", "ROLE_", "TORCHELASTIC_", "NCCL_", "OMP_", "PET_")
print("env", json.dumps({name: value for name, value in os.environ.items() if name.startswith(known)}))
`;

const FAILS = `
import os, sys, time
time.sleep(0 if os.environ["RANK"] == "3" else 60)
sys.exit(7)
`;

const TWO_BY_TWO = { launcher: "torchrun", nodes: 2, resources: { accelerators: 2, cpus: 2 }, run: ["train.py", "--x", "a b"] };

describe.skipIf(!here)("torchrun for real", () => {
  const gang = new Gang();
  afterAll(() => gang.end());

  /** Started directly, and by torchrun itself, which options for it ask for. */
  const WAYS = [
    ["directly", TWO_BY_TWO],
    ["by torchrun", { ...TWO_BY_TWO, launcher: { kind: "torchrun", args: ["--role=default"] } }],
  ] as const;

  it.each(WAYS)("reduces over two nodes of two ranks, each line with its rank (%s)", async (_way, spec) => {
    const { ended } = await gang.start(spec, { "train.py": SUM });
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

  it("gives ranks what torchrun gives them", async () => {
    const seen = async (spec: (typeof WAYS)[number][1]): Promise<Record<string, string>[]> => {
      const { ended } = await gang.start(spec, { "train.py": SHOWS });
      return (await ended)
        .flatMap(({ output }) => [...output.matchAll(/env (\{.*\})/g)].map((found) => JSON.parse(found[1] as string) as Record<string, string>))
        .sort((a, b) => Number(a["RANK"]) - Number(b["RANK"]));
    };
    const [direct, by] = [await seen(WAYS[0][1]), await seen(WAYS[1][1])];
    // which of them keeps the store, its port, and where an error may be written differ
    const same = ({ TORCHELASTIC_USE_AGENT_STORE: _1, TORCHELASTIC_ERROR_FILE: _2, MASTER_PORT: _3, PET_MASTER_PORT: _4, ...rest }: Record<string, string>) =>
      rest;
    expect(by).toHaveLength(4);
    for (const [rank, env] of by.entries()) expect(direct[rank]).toMatchObject(same(env));
  });

  it("ends with the code of the rank that failed first, whose companions don't", async () => {
    const { workers } = await gang.start(TWO_BY_TWO, { "train.py": FAILS });
    const ended = await workers[1]?.ended;
    expect(ended?.code).toBe(7);
    expect(ended?.output).toMatch(/rank\s*: 3 \(local_rank: 1\)\n\s*exitcode\s*: 7 \(pid: \d+\)/);
  });

  it("is the worker's own process where it is the node's only rank", async () => {
    const one = { ...TWO_BY_TWO, resources: { accelerators: 1, cpus: 2 }, run: ["train.py"] };
    const { workers } = await gang.start(one, { "train.py": SHOWS.replace("print", "os.environ['RANK'] == '1' and time.sleep(60); print") });
    expect((await workers[0]?.ended)?.output).toContain('"RANK": "0"');
    workers[1]?.child.kill("SIGKILL");
    expect(await workers[1]?.ended).toMatchObject({ code: null, signal: "SIGKILL" });
  });

  it.each([
    [...WAYS[0], 137],
    [...WAYS[1], 1],
  ] as const)("ends the worker of a rank that was killed, restarting nothing (%s)", async (_way, spec, code) => {
    const { workers } = await gang.start(spec, { "train.py": DIES });
    await until("all ranks up", () => workers.every((worker) => worker.output().split("] up ").length === 3));
    const pid = Number(/\[rank3\] up (\d+)/.exec(workers[1]?.output() ?? "")?.[1]);
    process.kill(pid, "SIGKILL");
    const ended = await workers[1]?.ended;
    expect(ended?.code).toBe(code);
    expect(ended?.output).toMatch(/exitcode\s*: -9/);
    expect(ended?.output.split("] up ").length).toBe(3);
  });

  it("has its nodes exchange data in pairs before the start, where the job asks for that", async () => {
    const spec = { ...TWO_BY_TWO, resources: { accelerators: 1, cpus: 2 }, run: ["echo", "started"], preflight: { run: "pairwise", timeout: 120 } };
    const { ended } = await gang.start(spec, {}, 2, [[1], [0]]);
    for (const [node, { code, output }] of (await ended).entries()) {
      expect(code).toBe(0);
      expect(output).toMatch(
        new RegExp(`^muster preflight: round 1 with node ${1 - node}: passed after [\\d.]+ s\nmuster preflight: passed after \\d+ s\nstarted\n$`),
      );
    }
  });

  it("says what is missing where no interpreter has the module", async () => {
    const { workers } = await gang.start({ launcher: "deepspeed", run: ["train.py"] }, {});
    const ended = await workers[0]?.ended;
    expect(ended?.code).toBe(127);
    expect(ended?.output).toContain("no interpreter here has the module deepspeed");
  });
});
