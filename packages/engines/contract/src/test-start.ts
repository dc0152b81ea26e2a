import type { WorkerKey, WorkerStart } from "./engine.ts";

/** A complete start that a test can vary. */
export function conformanceStart(
  key: WorkerKey,
  node: string,
  behaviour: Pick<WorkerStart, "argv" | "env" | "files">,
  more: Partial<WorkerStart> = {},
): WorkerStart {
  return {
    ...key,
    node,
    project: "default",
    role: "worker",
    nodeRank: Number(key.worker.split("/")[1]),
    devices: { vendor: "none", indices: [], share: 0 },
    limits: { cpus: 1, memory: 256 << 20 },
    secrets: [],
    mounts: [],
    token: "token-of-a-test",
    checkpoint: { reports: true, committed: "^saved (?<step>\\d+) (?<path>\\S+)$" },
    progress: { preset: "muster" },
    watch: [],
    firstRank: Number(key.worker.split("/")[1]),
    ranks: 1,
    ...behaviour,
    ...more,
  };
}
