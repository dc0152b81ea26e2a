import type { SimJob, SimResult } from "./simulation.ts";

export interface Summary {
  averageJct: number;
  p50Jct: number;
  p99Jct: number;
  /** Mean time from submission to the first start. */
  averageWait: number;
  makespan: number;
  preemptions: number;
  lostDeviceHours: number;
  busyUtilisation: number;
}

/** All times in seconds. Percentiles are the nearest rank, as in the published figures. */
export function summarise(result: SimResult): Summary {
  const jct = result.jobs.map((job) => job.finish - job.trace.submit).sort((a, b) => a - b);
  return {
    averageJct: mean(jct),
    p50Jct: nearestRank(jct, 0.5),
    p99Jct: nearestRank(jct, 0.99),
    averageWait: mean(result.jobs.map(firstWait)),
    makespan: result.makespan,
    preemptions: result.preemptions,
    lostDeviceHours: result.lostDeviceSeconds / 3600,
    busyUtilisation: result.busyUtilisation,
  };
}

function firstWait(job: SimJob): number {
  return job.firstStart - job.trace.submit;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}

/** The smallest value that at least this part of the sorted values does not exceed. */
export function nearestRank(sorted: readonly number[], part: number): number {
  return sorted[Math.max(Math.ceil(part * sorted.length) - 1, 0)] ?? NaN;
}
