import { literal } from "@muster/model";
import { localRanksFile } from "./local-ranks.ts";
import { findPython, findPythonFile, program } from "./python.ts";
import { rankFile } from "./rank-file.ts";
import type { Framework, LaunchContext } from "./types.ts";

/**
 * JAX processes for `jax.distributed.initialize`, which reads JAX_COORDINATOR_ADDRESS and JAX_LOCAL_DEVICE_IDS by itself;
 * the program passes `num_processes` and `process_id` from JAX_NUM_PROCESSES and JAX_PROCESS_ID.
 */
export const jax: Framework = (context) => {
  const { kind, words } = program(context.run);
  const env = {
    JAX_COORDINATOR_ADDRESS: literal(coordinator(context)),
    JAX_NUM_PROCESSES: String(context.worldSize),
  };
  if (context.ranks === 1) {
    return {
      argv: kind === "python" ? [...findPython("jax"), "-u", ...words] : words,
      env: { ...env, JAX_PROCESS_ID: String(context.nodeRank) },
      files: kind === "python" ? [findPythonFile] : [],
    };
  }
  return {
    argv: [...findPython("jax"), "-u", "${MUSTER_DIR}/local-ranks.py", "jax", String(devicesPerRank(context)), kind, ...words],
    env,
    files: [findPythonFile, rankFile, localRanksFile],
  };
};

function coordinator({ rendezvous: { address, port } }: LaunchContext): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whole devices for each process of a node; 0 where they share what there is. */
function devicesPerRank(context: LaunchContext): number {
  const { accelerators } = context.role.resources;
  return accelerators % context.ranks === 0 ? accelerators / context.ranks : 0;
}
