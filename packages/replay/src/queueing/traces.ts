import { readMuri, startSeconds } from "../muri/trace.ts";
import type { MuriTrace } from "../muri/trace.ts";
import { readTrace } from "../traces.ts";
import { PythonRandom } from "./python-random.ts";
import type { TraceJob } from "./simulation.ts";

const OCTOBER_SECONDS = 2_678_400;

/** Jobs of Philly submitted in October 2017, with limits of up to five times the run time. Throws TraceMissing. */
export function phillyOctober(): TraceJob[] {
  const random = new PythonRandom(7);
  return readTrace("philly_2017_sep_oct.csv.gz")
    .map((row) => ({ submit: Number(row["submit_s"]), devices: Number(row["num_gpus"]), runTime: Number(row["duration_s"]), tenant: row["vc"] ?? "" }))
    .filter((job) => job.submit >= 0 && job.submit < OCTOBER_SECONDS)
    .map((job) => Object.assign(job, { restartCost: restartSeconds(job.devices), limit: job.runTime * random.uniform(1, 5) }));
}

function restartSeconds(devices: number): number {
  if (devices === 1) return 7;
  return devices <= 8 ? 30 : 60;
}

/** A Muri trace with its measured start costs and limits drawn in the same way. Throws TraceMissing. */
export function muriJobs(trace: MuriTrace): TraceJob[] {
  const random = new PythonRandom(7);
  return readMuri(trace).map((job) => {
    const runTime = job.iterations * job.iterationTime;
    return {
      submit: job.submit,
      devices: job.devices,
      runTime,
      tenant: "",
      restartCost: startSeconds(job.model, job.devices),
      limit: runTime * random.uniform(1, 5),
    };
  });
}
