import { afterAll, describe, expect, it } from "vitest";
import { available, Gang, until } from "./run-for-test.ts";

const here = available("Open MPI", "mpirun", ["--version"], "apt-get install openmpi-bin");
const python =
  here &&
  available(
    "mpi4py",
    "/usr/bin/python3",
    ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('mpi4py') is None)"],
    "apt-get install python3-mpi4py",
  );

const THREE = { launcher: { kind: "mpirun", ranks_per_node: 2 }, nodes: 3 };
const SUM = `
from mpi4py import MPI
import os
world = MPI.COMM_WORLD
print("sum", world.allreduce(world.rank), "rank", world.rank, "in worker", os.environ["MUSTER_NODE_RANK"], flush=True)
`;

describe.skipIf(!here)("mpirun for real", () => {
  const gang = new Gang();
  afterAll(() => gang.end());

  it.skipIf(!python)("reduces over three nodes of two ranks, each in its own worker", async () => {
    const workers = await (await gang.start({ ...THREE, run: ["/usr/bin/python3", "sum.py"] }, { "sum.py": SUM })).ended;
    expect(workers).toMatchObject([{ code: 0 }, { code: 0 }, { code: 0 }]);
    for (let rank = 0; rank < 6; rank++) expect(workers[0]?.output).toMatch(new RegExp(`sum 15 rank ${rank} in worker ${Math.floor(rank / 2)}\\b`));
  });

  it("passes a rank's exit code on, and its end to the other workers", async () => {
    const workers = await (await gang.start({ ...THREE, run: ["sh", "-c", '[ "$OMPI_COMM_WORLD_RANK" = 5 ] && exit 33; exec sleep 60'] }, {})).ended;
    expect(workers[0]?.code).toBe(33);
  });

  it("ends the members that mpirun never called", async () => {
    const workers = await (
      await gang.start({ ...THREE, launcher: { ...THREE.launcher, args: ["--host", "localhost", "-np", "1", "--version"] }, run: ["true"] }, {})
    ).ended;
    expect(workers.map((worker) => worker.code)).toEqual([0, 0, 0]);
  });

  it("passes SIGTERM on to mpirun, which ends all ranks", async () => {
    const { workers, ended } = await gang.start({ ...THREE, run: ["sh", "-c", "echo up; exec sleep 60"] }, {});
    await until("all ranks up", () => (workers[0]?.output().match(/up\n/g) ?? []).length === 6);
    workers[0]?.child.kill("SIGTERM");
    const [first] = await ended;
    expect(first?.code).not.toBe(0);
  });

  it("fails, and does not hang, where a daemon's worker is killed", async () => {
    const { workers, ended } = await gang.start({ ...THREE, run: ["sh", "-c", "echo up; exec sleep 60"] }, {});
    await until("all ranks up", () => (workers[0]?.output().match(/up\n/g) ?? []).length === 6);
    process.kill(-(workers[2]?.child.pid as number), "SIGKILL");
    const [first, , third] = await ended;
    expect(third?.signal).toBe("SIGKILL");
    expect(first?.code).not.toBe(0);
  });
});
