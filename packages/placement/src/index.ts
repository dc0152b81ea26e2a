export type * from "./types.ts";
export { createEngine } from "./engine.ts";
export { DEFAULT_POLICY } from "./policy.ts";
export * from "./packing/index.ts";
export * from "./ordering/index.ts";
export * from "./recording.ts";
