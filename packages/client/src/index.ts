export * from "./client.ts";
export { Cluster } from "./cluster.ts";
export { Declared, type PutOptions } from "./declared.ts";
export * from "./errors.ts";
export {
  JOB_ACTIONS,
  Jobs,
  type CheckpointView,
  type CreateOptions,
  type JobAction,
  type JobListQuery,
  type JobSummary,
  type LogChunk,
  type LogPart,
  type LogQuery,
  type SubmitOptions,
} from "./jobs.ts";
export { Nodes, type NodeListQuery } from "./nodes.ts";
export type { Page } from "./pages.ts";
export * from "./state-dir.ts";
export { Tokens, type NewToken, type TokenView } from "./tokens.ts";
export { parseServerUrl, type CallOptions, type ClientOptions, type Query } from "./transport.ts";
export * from "./watch-job.ts";
