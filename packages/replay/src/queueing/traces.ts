import { readMuri, startSeconds } from "../muri/trace.ts";
import type { MuriTrace } from "../muri/trace.ts";
import { readTrace } from "../traces.ts";
import { PythonRandom } from "./python-random.ts";
import type { TraceJob } from "./simulation.ts";

const OCTOBER_SECONDS = 2_678_400;
const INVENTED_JOBS = 4000;

/** Jobs of Philly submitted in October 2017, with limits of up to five times the run time. Throws TraceMissing. */
export function phillyOctober(): TraceJob[] {
  return philly((submit) => submit >= 0 && submit < OCTOBER_SECONDS);
}

/** Likewise those of September 2017, from their first on. */
export function phillySeptember(): TraceJob[] {
  const jobs = philly((submit) => submit < 0);
  const first = Math.min(...jobs.map((job) => job.submit));
  return jobs.map((job) => ({ ...job, submit: job.submit - first }));
}

function philly(within: (submit: number) => boolean): TraceJob[] {
  const random = new PythonRandom(7);
  return readTrace("philly_2017_sep_oct.csv.gz")
    .map((row) => ({ submit: Number(row["submit_s"]), devices: Number(row["num_gpus"]), runTime: Number(row["duration_s"]), tenant: row["vc"] ?? "" }))
    .filter((job) => within(job.submit))
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

/**
 * Jobs that nobody has set anything on: sizes, run times over some orders of magnitude and a load near what the devices
 * can do, all drawn by the seed.
 */
export function invented(seed: number, devices: number): TraceJob[] {
  const random = new PythonRandom(seed);
  const jobs: TraceJob[] = [];
  const wide = random.uniform(0.05, 0.5);
  const long = random.uniform(0.02, 0.3);
  const [shortest, middle, longest] = [random.uniform(1, 2.5), random.uniform(3, 4), random.uniform(4.5, 5.5)];
  const load = random.uniform(0.85, 1.15);
  for (let submit = 0; jobs.length < INVENTED_JOBS; ) {
    const size = random.random() < wide ? 2 ** Math.ceil(random.uniform(0, 5)) : 1;
    const runTime = 10 ** (random.random() < long ? random.uniform(middle, longest) : random.uniform(shortest, middle));
    jobs.push({ submit, devices: size, runTime, tenant: "", restartCost: restartSeconds(size), limit: runTime * random.uniform(1, 5) });
    submit += (-Math.log(1 - random.random()) * size * runTime) / (devices * load);
  }
  return jobs;
}
