import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "@muster/store";
import { measure, type Measured } from "./admission/measure.ts";
import { BASELINE, LARGE, lowerBound, TOPOLOGY, type Workload } from "./admission/workloads.ts";

/** Workloads in all over the wall time, of Kueue's own runs of its three generators (its documentation as of August 2026, CI calibration). */
const KUEUE: Record<string, { perSecond: number; seconds: number }> = {
  baseline: { perSecond: 42.7, seconds: 351.1 },
  topology: { perSecond: 37.4, seconds: 401.5 },
  large: { perSecond: 42.4, seconds: 1179 },
};

/** Admissions a second and makespans of Kueue's workloads, each start and each end a durable commit. */
export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, number | string> }> {
  const dir = await mkdtemp(join(tmpdir(), "muster-admission-"));
  const server = await startEmbeddedPostgres({ dir });
  const figures: Record<string, number> = {};
  const peers: Record<string, number | string> = { kueue: "its own performance tests, as published in August 2026" };
  try {
    let slowest = Number.POSITIVE_INFINITY;
    for (const workload of asked()) {
      const real = await measure(server, workload, false);
      show(workload, "in real time", real);
      const saturated = await measure(server, workload, true);
      show(workload, "saturated", saturated);
      slowest = Math.min(slowest, saturated.perSecond);
      const { name } = workload;
      figures[`${name}_per_second`] = round(real.perSecond);
      figures[`${name}_makespan_ratio`] = round(real.ratio);
      figures[`${name}_evictions`] = real.evicted;
      figures[`saturated_${name}_per_second`] = round(saturated.perSecond);
      figures[`saturated_${name}_cpu_ms_per_job`] = round(saturated.cpuMsPerJob);
      const kueue = KUEUE[name];
      if (kueue) {
        peers[`kueue_${name}_per_second`] = kueue.perSecond;
        peers[`kueue_${name}_makespan_ratio`] = round((kueue.seconds * 1000) / lowerBound(workload));
      }
    }
    figures["saturated_per_second"] = round(slowest);
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return { figures, peers };
}

/** All, or those named in MUSTER_BENCH_WORKLOADS. */
function asked(): Workload[] {
  const all = [BASELINE, TOPOLOGY, LARGE];
  const names = process.env["MUSTER_BENCH_WORKLOADS"]?.split(",");
  const found = names ? all.filter(({ name }) => names.includes(name)) : all;
  if (found.length === 0) throw new Error(`MUSTER_BENCH_WORKLOADS: expected some of ${all.map(({ name }) => name).join(",")}`);
  return found;
}

function show(workload: Workload, how: string, measured: Measured): void {
  const kueue = KUEUE[workload.name]?.perSecond;
  console.error(
    `${workload.name.padEnd(9)} ${how.padEnd(13)} ${measured.jobs} jobs in ${measured.seconds.toFixed(1)} s: ${measured.perSecond.toFixed(0)}/s (Kueue ${kueue}/s), makespan ${measured.ratio.toFixed(2)} x its lower bound, ${measured.evicted} evictions, a decision seen after ${measured.handedOver.toFixed(0)} ms and an end written after ${measured.ended.toFixed(0)}, ${measured.cpuMsPerJob.toFixed(2)} ms of processor time a job`,
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
