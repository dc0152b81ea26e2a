export { entryOfStep, markerStep } from "./commits.ts";
export * from "./lines.ts";
export * from "./output.ts";
export * from "./patterns.ts";
export * from "./progress-presets.ts";
export * from "./rank-exits.ts";
export * from "./signals.ts";
