export { stand } from "./floor.ts";
export type { Standing } from "./floor.ts";
export type { OrderedJob } from "./job.ts";
export { LearnedRunTimes, linearEdges, logarithmicEdges } from "./learned-run-times.ts";
export { planRun } from "./run-plan.ts";
export type { RunPlan, RunPlanInput, StandingJob } from "./run-plan.ts";
export { ServiceOrder } from "./service-order.ts";
export type { Knowledge } from "./service-order.ts";
export { WaitingJobs } from "./waiting-jobs.ts";
