export * from "./commit-reasons.ts";
export * from "./commit-starts.ts";
export * from "./commit-stops.ts";
export * from "./policy.ts";
export * from "./read.ts";
export * from "./rows.ts";
