export * from "./expand.ts";
export * from "./field-error.ts";
export * from "./ids.ts";
export * from "./resolve.ts";
export * from "./spec.ts";
export * from "./units.ts";
export * from "./words.ts";
export * from "./api.ts";
