export * from "./cluster.ts";
export * from "./embedded-postgres.ts";
export * from "./events.ts";
export * from "./leases.ts";
export * from "./migrate.ts";
export * from "./pool.ts";
export * from "./wake.ts";
