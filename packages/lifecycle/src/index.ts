export * from "./classify.ts";
export * from "./evaluate.ts";
export * from "./job-states.ts";
export * from "./node-states.ts";
export * from "./restart-policy.ts";
export * from "./silence.ts";
