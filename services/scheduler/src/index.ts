export { createScheduler, type Scheduler, type SchedulerOptions } from "./scheduler.ts";
export { Election, type ElectionOptions } from "./election.ts";
export { createMetrics } from "./metrics.ts";
