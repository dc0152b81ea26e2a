export * from "./adoption.ts";
export * from "./attempt-key.ts";
export * from "./checkpoints.ts";
export * from "./commands.ts";
export * from "./facts.ts";
export * from "./gangs.ts";
export * from "./kept-logs.ts";
export * from "./shards.ts";
