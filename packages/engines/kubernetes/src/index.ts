export { KubeApi, KubeError, type KubeObject, type KubeRequest, type KubeWhere } from "./api.ts";
export type { DiscoveredNode } from "./discover.ts";
export { KubernetesEngine } from "./kubernetes-engine.ts";
export * as names from "./names.ts";
export type { WorkerNotes } from "./pod.ts";
export { KubernetesShard, type ShardOptions } from "./shard.ts";
export type { NodeOfStart, Prepared, WorkloadWriter } from "./writer.ts";
