import { afterAll, describe, expect, it } from "vitest";
import { available, Gang, until } from "./run-for-test.ts";

const here = available("Python", "python3", ["-c", "pass"], "apt-get install python3");

/** An empty module named jax beside the program lets the interpreter be found; JAX itself is not run. */
const STAND_IN = { "jax.py": "" };
const JOB = { launcher: { kind: "jax", ranks_per_node: 2 }, resources: { accelerators: 4 }, run: ["train.py"] };

describe.skipIf(!here)("several processes a node", () => {
  const gang = new Gang();
  afterAll(() => gang.end());

  it("are numbered over all nodes, with their own devices, and their lines too", async () => {
    const program = `import os; print(os.environ["JAX_PROCESS_ID"], os.environ["JAX_LOCAL_DEVICE_IDS"], os.environ["JAX_NUM_PROCESSES"], end="")`;
    const workers = await (await gang.start({ ...JOB, nodes: 2 }, { ...STAND_IN, "train.py": program })).ended;
    expect(workers.map((worker) => [worker.code, worker.output.split("\n").sort().join("|")])).toEqual([
      [0, "|[rank0] 0 0,1 4|[rank1] 1 2,3 4"],
      [0, "|[rank2] 2 0,1 4|[rank3] 3 2,3 4"],
    ]);
  });

  it("end together: the first failure's code is the worker's", async () => {
    const program = `import os, sys, time\nif os.environ["JAX_PROCESS_ID"] == "1": sys.exit(7)\ntime.sleep(60)`;
    const [worker] = await (await gang.start(JOB, { ...STAND_IN, "train.py": program })).ended;
    expect(worker?.code).toBe(7);
  });

  it("all get SIGTERM, and may end well", async () => {
    const program = `import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nprint("up")\ntime.sleep(60)`;
    const { workers, ended } = await gang.start(JOB, { ...STAND_IN, "train.py": program });
    await until("both up", () => workers[0]?.output().split("up").length === 3);
    workers[0]?.child.kill("SIGTERM");
    expect((await ended)[0]?.code).toBe(0);
  });

  it("with carriage returns and a long unbroken line lose nothing", async () => {
    const program = `import sys\nsys.stdout.write("10%\\r20%\\r\\n" + "x" * 200000)`;
    const [worker] = await (await gang.start(JOB, { ...STAND_IN, "train.py": program })).ended;
    const lines = (worker?.output ?? "").split("\n").filter((line) => line.startsWith("[rank0] "));
    expect(lines.slice(0, 2)).toEqual(["[rank0] 10%", "[rank0] 20%"]);
    expect(
      lines
        .slice(2)
        .map((line) => line.slice(8))
        .join(""),
    ).toBe("x".repeat(200_000));
  });
});
