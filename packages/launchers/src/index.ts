export * from "./launch.ts";
export type * from "./types.ts";
