export * from "./directory-store.ts";
export { logKey, logPrefix, type LogOwner } from "./keys.ts";
export * from "./log-store.ts";
export * from "./open-log-store.ts";
export * from "./s3-store.ts";
