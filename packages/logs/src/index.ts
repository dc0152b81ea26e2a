export * from "./directory-store.ts";
export { logKey, logPrefix, type LogOwner } from "./keys.ts";
export * from "./log-store.ts";
