import { readTrace } from "../traces.ts";

export const MURI_TRACES = ["muri1", "muri1_pr", "muri3", "muri3_pr"] as const;
export type MuriTrace = (typeof MURI_TRACES)[number];

export interface MuriJob {
  devices: number;
  /** Seconds. */
  submit: number;
  iterations: number;
  /** Seconds per iteration, with the 1.5 % that the published simulator adds. */
  iterationTime: number;
  model: string;
}

/** Jobs in the order of their submission. Throws TraceMissing. */
export function readMuri(trace: MuriTrace): MuriJob[] {
  const rows = readTrace(`${trace.replace("muri", "muri_trace")}.csv.gz`);
  const jobs = rows.map((row) => ({
    devices: Number(row["num_gpu"]),
    submit: Number(row["submit_time"]) / 1000,
    iterations: Number(row["iterations"]),
    iterationTime: (Number(row["iteration_time"]) * 1.015) / 1000,
    model: row["model_name"] ?? "",
  }));
  return jobs.sort((a, b) => a.submit - b.submit);
}

const START_SECONDS: Record<string, readonly number[]> = {
  vgg16: [7, 7, 8, 9, 9, 10],
  vgg19: [7, 7, 8, 9, 10, 10],
  resnet18: [4, 5, 5, 7, 7, 7],
  shufflenet_v2_x1_0: [4, 4, 5, 5, 7, 8],
  bert: [10, 10, 10, 10, 10, 10],
  gpt2: [10, 10, 10, 10, 10, 10],
  a2c: [38, 39, 39, 46, 46, 46],
  dqn: [5, 5, 6, 6, 8, 8],
};

/** Seconds that a start costs, as measured by Muri's authors for 1, 2, 4, 8, 16 and 32 devices. */
export function startSeconds(model: string, devices: number): number {
  return START_SECONDS[model]?.[Math.round(Math.log2(devices))] ?? 10;
}

export interface MuriPublished {
  averageJct: number;
  p99Jct: number;
  makespan: number;
}

/** Raw numbers behind Fig. 9-10 of Muri (SIGCOMM 2022), seconds, by scheduler. */
export function readMuriPublished(trace: MuriTrace): Map<string, MuriPublished> {
  const byPolicy = new Map<string, MuriPublished>();
  for (const row of readTrace("muri_published.csv")) {
    if (row["trace"] !== trace.replace("muri", "trace")) continue;
    const at = byPolicy.get(row["policy"]!) ?? { averageJct: 0, p99Jct: 0, makespan: 0 };
    const field = { avg_jct: "averageJct", p99_jct: "p99Jct", makespan: "makespan" }[row["metric"]!] as keyof MuriPublished;
    at[field] = Number(row["seconds"]);
    byPolicy.set(row["policy"]!, at);
  }
  return byPolicy;
}
