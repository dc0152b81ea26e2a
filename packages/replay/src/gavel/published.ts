import { readTrace } from "../traces.ts";

type ByLoad = Readonly<Record<number, number>>;

/**
 * Average JCT in hours as Gavel's authors print it for their final sweeps, the mean of seeds 0 to 2 by jobs an hour: the notebooks
 * continuous_jobs and continuous_jobs_multigpu of their repository at commit 2d8e076. `gavelJobs` makes the draws of these.
 */
const FINAL: Readonly<Record<"single" | "multiple", Readonly<Record<string, ByLoad>>>> = {
  single: {
    fifo_perf: { 2: 15.18, 4: 16.39, 4.8: 24.1, 5.6: 108.26 },
    max_min_fairness: { 2: 22.83, 4: 22.92, 4.8: 34.75, 5.6: 91.29 },
    max_min_fairness_perf: { 2: 16.95, 4: 16.26, 4.8: 18.02, 5.6: 26.42 },
    allox: { 2: 16.96, 4: 16.53, 4.8: 19.92, 5.6: 23.54 },
  },
  multiple: {
    fifo_perf: { 2: 20.38, 2.4: 39.32, 2.8: 247.44 },
    max_min_fairness: { 2: 25.22, 2.4: 36.7, 2.8: 198.84 },
    max_min_fairness_perf: { 2: 18.69, 2.4: 26.27, 2.8: 45.97 },
  },
};

export function gavelFinal(trace: "single" | "multiple", policy: string, perHour: number): number | undefined {
  return FINAL[trace][policy]?.[perHour];
}

/**
 * The same by trace, policy and jobs an hour as an earlier state of these notebooks prints it. Its draws were others: where nothing
 * waits, jobs of several devices take 7 % longer than in the final sweep.
 */
export function gavelEarlier(): Map<string, number> {
  const rows = readTrace("gavel_published.csv.gz").filter((row) => row["metric"] === "avg_jct_hours");
  return new Map(rows.map((row) => [`${row["trace"]}/${row["policy"]}/${Number(row["input_jobs_per_hour"])}`, Number(row["value"])]));
}
