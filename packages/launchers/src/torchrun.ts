import { literal } from "@muster/model";
import { findPython, findPythonFile, program } from "./python.ts";
import { rankFile } from "./rank-file.ts";
import { rendezvousId, torchEnv } from "./torch-env.ts";
import type { Framework, LaunchFile } from "./types.ts";

const TORCHRUN = String.raw`"""torchrun whose failed nodes end at once. PyTorch before 2.1 keeps them for up to 300 s, waiting for the others to end."""
from torch.distributed.elastic.agent.server import api
from torch.distributed.run import main

wait_for_others = api.SimpleElasticAgent._exit_barrier


def exit_barrier(agent):
    if agent._worker_group.state != api.WorkerState.FAILED:
        wait_for_others(agent)


api.SimpleElasticAgent._exit_barrier = exit_barrier
main()
`;

const torchrunFile: LaunchFile = { path: "torchrun.py", content: TORCHRUN };

/**
 * One torchrun agent a node with ranks fixed by placement. It never restarts ranks itself: a failed rank ends the worker,
 * and the next attempt is Muster's, with its own fence and rendezvous.
 */
export const torchrun: Framework = (context) => {
  const { kind, words } = program(context.run);
  return {
    argv: [
      ...findPython("torch"),
      "${MUSTER_DIR}/torchrun.py",
      `--nnodes=${context.members.length}`,
      `--node_rank=${context.nodeRank}`,
      `--nproc_per_node=${context.ranks}`,
      `--master_addr=${literal(context.rendezvous.address)}`,
      `--master_port=${context.rendezvous.port}`,
      "--rdzv_backend=static",
      `--rdzv_id=${literal(rendezvousId(context))}`,
      "--max_restarts=0",
      // seconds; the default of 5 is how late a dead rank would be seen
      "--monitor_interval=0.2",
      // PyTorch 1.13 on Python 3.11 takes no other value than 1 and 2 here. Ranks write to stderr, so the files stay empty.
      "--redirects=1",
      "--tee=1",
      `--log_dir=\${MUSTER_SHARED_DIR}/torchrun-${context.nodeRank}`,
      ...context.args,
      "${MUSTER_DIR}/rank.py",
      kind,
      ...words,
    ],
    env: torchEnv(context),
    files: [findPythonFile, torchrunFile, rankFile],
  };
};
