export type { OrderedJob } from "./job.ts";
export { LearnedRunTimes, linearEdges, logarithmicEdges } from "./learned-run-times.ts";
export { ServiceOrder } from "./service-order.ts";
export type { Knowledge } from "./service-order.ts";
