import type { WorkerStart } from "@muster/engine";
import { expand } from "@muster/model";
import type { WorkerPaths } from "./area.ts";
import { workerMark } from "./procs.ts";

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const DEVICE_VARIABLES = { nvidia: "CUDA_VISIBLE_DEVICES", ascend: "ASCEND_RT_VISIBLE_DEVICES", amd: "HIP_VISIBLE_DEVICES" } as const;

/** Path variables as the worker sees them. Only the agent knows them, so it is the agent that replaces them. */
export function pathVariables(paths: WorkerPaths): Record<string, string> {
  return {
    MUSTER_DIR: paths.dir,
    MUSTER_SHARED_DIR: paths.shared,
    MUSTER_TOKEN_FILE: paths.token,
    MUSTER_CONTROL_FILE: paths.control,
    MUSTER_PROGRESS_FILE: paths.progress,
    MUSTER_CHECKPOINT_DIR: paths.checkpoint,
    MUSTER_RESUME_FROM: paths.resume,
  };
}

/** For the content of files, which is no template: paths are replaced in it, `$$` stays. */
export function fillPaths(variables: Record<string, string>): (text: string) => string {
  return (text) => (text.includes("${MUSTER_") ? text.replaceAll(/\$\{(MUSTER_[A-Z_]+)\}/g, (whole, name: string) => variables[name] ?? whole) : text);
}

/** Whether a worker was given something that uses the folder shared by an attempt's workers; others don't get one. */
export function usesShared(start: WorkerStart): boolean {
  const mentions = (text: string): boolean => text.includes("MUSTER_SHARED_DIR");
  return start.files.some((file) => mentions(file.content)) || start.argv.some(mentions) || Object.values(start.env).some(mentions);
}

/** A worker's whole environment; nothing of the agent's own is in it. */
export function workerEnv(start: WorkerStart, paths: WorkerPaths, secrets: Record<string, string>): Record<string, string> {
  const variables = pathVariables(paths);
  const env: Record<string, string> = { PATH: DEFAULT_PATH, LANG: "C.UTF-8", HOME: paths.dir, TMPDIR: paths.dir };
  for (const [name, value] of Object.entries(start.env)) env[name] = expand(value, variables);
  Object.assign(env, secrets, variables, {
    MUSTER_JOB_ID: start.job,
    MUSTER_ATTEMPT: String(start.attempt),
    MUSTER_INCARNATION: start.incarnation,
    MUSTER_ROLE: start.role,
    MUSTER_NODE_RANK: String(start.nodeRank),
    MUSTER_NODE: start.node,
    MUSTER_WORKER: workerMark(start),
  });
  if (!usesShared(start)) delete env["MUSTER_SHARED_DIR"];
  const { vendor, indices } = start.devices;
  // devices of other makers, and all of them where the worker has none, are hidden
  for (const [maker, variable] of Object.entries(DEVICE_VARIABLES)) env[variable] = maker === vendor ? indices.join(",") : "";
  return env;
}
