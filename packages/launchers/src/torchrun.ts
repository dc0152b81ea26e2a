import { literal } from "@muster/model";
import { findPython, findPythonFile, program } from "./python.ts";
import { localRanksFile } from "./local-ranks.ts";
import { rankFile } from "./rank-file.ts";
import { rendezvousId, torchEnv } from "./torch-env.ts";
import type { Framework, LaunchContext, LaunchFile } from "./types.ts";

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
 * The ranks that torchrun would start, with what it would give them, and ranks fixed by placement. A failed rank ends the worker,
 * and the next attempt is Muster's, with its own fence and rendezvous. torchrun itself runs only where options for it are given:
 * it imports torch before each start, so that each recovery would pay for that twice, one import after the other.
 */
export const torchrun: Framework = (context) => (context.args.length > 0 ? byTorchrun(context) : directly(context));

function directly(context: LaunchContext): ReturnType<Framework> {
  const { kind, words } = program(context.run);
  const env = { ...torchEnv(context), ...elasticEnv(context) };
  if (context.ranks === 1) {
    return {
      argv: kind === "python" ? [...findPython("torch"), "-u", ...words] : words,
      env: { ...env, LOCAL_RANK: "0", RANK: String(context.nodeRank), ROLE_RANK: String(context.nodeRank) },
      files: kind === "python" ? [findPythonFile] : [],
    };
  }
  return {
    argv: [...findPython("torch"), "-u", "${MUSTER_DIR}/local-ranks.py", "torch", "0", kind, ...words],
    env,
    files: [findPythonFile, rankFile, localRanksFile],
  };
}

/** What torchrun says to all ranks of a node. Rank 0 keeps the store, as no agent of torchrun's does. */
function elasticEnv(context: LaunchContext): Record<string, string> {
  const { env } = context.role;
  return {
    WORLD_SIZE: String(context.worldSize),
    LOCAL_WORLD_SIZE: String(context.ranks),
    GROUP_RANK: String(context.nodeRank),
    GROUP_WORLD_SIZE: String(context.members.length),
    ROLE_NAME: "default",
    ROLE_WORLD_SIZE: String(context.worldSize),
    TORCHELASTIC_RUN_ID: literal(rendezvousId(context)),
    TORCHELASTIC_RESTART_COUNT: "0",
    TORCHELASTIC_MAX_RESTARTS: "0",
    TORCHELASTIC_USE_AGENT_STORE: "False",
    // by its older and its newer name; the job's own value holds
    NCCL_ASYNC_ERROR_HANDLING: env["NCCL_ASYNC_ERROR_HANDLING"] ?? "1",
    TORCH_NCCL_ASYNC_ERROR_HANDLING: env["TORCH_NCCL_ASYNC_ERROR_HANDLING"] ?? "1",
  };
}

function byTorchrun(context: LaunchContext): ReturnType<Framework> {
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
}
