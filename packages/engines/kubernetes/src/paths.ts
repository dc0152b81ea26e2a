import type { AttemptKey, WorkerStart } from "@muster/engine";
import type { KubernetesConfig } from "@muster/model";

/* Where things lie in a worker's container; the same in every pod, so that files and words can be filled in before there is one. */

export const ETC = "/muster/etc";
export const DIR = "/muster/run";
export const SOURCE = "/muster/source";

export interface JobCheckpoints {
  /** The job's folder, in containers. */
  job: string;
  attempt: string;
  /** Whether the shard has a volume for them; without one they end with the pod. */
  kept: boolean;
}

export function checkpointsOf(config: KubernetesConfig, key: AttemptKey, dir: string | undefined): JobCheckpoints {
  const kept = config.checkpoints !== undefined;
  const job = kept ? (dir ?? `${config.checkpoints?.at}/${key.job}`) : `${DIR}/checkpoints`;
  return { job, attempt: `${job}/${attemptFolder(key)}`, kept };
}

/** The attempt's folder below its job's. */
export function attemptFolder(key: AttemptKey): string {
  return `attempt-${key.incarnation}-${key.attempt}`;
}

export function pathVariables(config: KubernetesConfig, start: Pick<WorkerStart, "checkpoint"> & AttemptKey): Record<string, string> {
  const checkpoints = checkpointsOf(config, start, start.checkpoint.dir);
  return {
    MUSTER_DIR: DIR,
    // what workers of one attempt share must be on a volume that they share
    MUSTER_SHARED_DIR: checkpoints.kept ? `${checkpoints.attempt}/.shared` : `${DIR}/shared`,
    MUSTER_TOKEN_FILE: `${ETC}/token`,
    MUSTER_CONTROL_FILE: `${DIR}/control`,
    MUSTER_PROGRESS_FILE: `${DIR}/progress`,
    MUSTER_CHECKPOINT_DIR: checkpoints.attempt,
    MUSTER_RESUME_FROM: `${DIR}/resume`,
  };
}
