/*
 * The database that simulations run on passes the store's own tests: the same files once more, on it. Without those that need a second session
 * at the same time, which it hasn't.
 */
process.env["MUSTER_TEST_STORE"] = "in-memory";
await import("../../packages/store/src/constraints.test.ts");
await import("../../packages/store/src/settings.test.ts");
for (const name of ["shards", "comebacks", "discovered"]) await import(`../../packages/store/src/supervisor/${name}.test.ts`);
await import("../../packages/store/src/api/summary.test.ts");
for (const name of ["housekeeping", "silence-watch"]) await import(`../../services/supervisor/src/${name}.test.ts`);
