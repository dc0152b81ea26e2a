import { PythonRandom } from "../queueing/python-random.ts";
import { readTrace } from "../traces.ts";

/** Gavel's cluster (OSDI 2020): so many devices of each kind, each a server of its own. */
export const GAVEL_KINDS = ["v100", "p100", "k80"] as const;
export const GAVEL_DEVICES = 36;
/** Jobs over which its figures are averaged. */
export const GAVEL_WINDOW = { from: 4000, to: 5000 };

export interface GavelJob {
  id: number;
  /** Seconds. */
  submit: number;
  /** Model and batch size, as measured. */
  type: string;
  devices: number;
  steps: number;
  /** Steps a second on each of the kinds; 0 where it does not run. */
  speed: readonly [number, number, number];
}

/** Models by batch sizes, in the order in which the generator numbers them, and whether several devices may share one job. */
const MODELS: readonly { name: string; sizes: readonly number[]; distributed: boolean }[] = [
  { name: "ResNet-18", sizes: [16, 32, 64, 128, 256], distributed: true },
  { name: "ResNet-50", sizes: [16, 32, 64, 128], distributed: true },
  { name: "Transformer", sizes: [16, 32, 64, 128, 256], distributed: true },
  { name: "LM", sizes: [5, 10, 20, 40, 80], distributed: true },
  { name: "Recommendation", sizes: [512, 1024, 2048, 4096, 8192], distributed: false },
  { name: "A3C", sizes: [], distributed: false },
  { name: "CycleGAN", sizes: [], distributed: false },
];
const TYPES = MODELS.flatMap(({ name, sizes, distributed }) =>
  sizes.length === 0 ? [{ type: name, distributed }] : sizes.map((size) => ({ type: `${name} (batch size ${size})`, distributed })),
);

/**
 * The first jobs of Gavel's Poisson process, rebuilt from its description: sizes as in Philly (70 % one device, 10 % two, 15 %
 * four, 5 % eight; all one in the single-device trace), run times on a V100 of 10^u minutes, u uniform over 1.5 to 3 for four
 * of five jobs and over 3 to 4 for the fifth, types by lot. Draws are those of Python's generator at the published seeds, in the order of the published sweeps.
 */
export function gavelJobs(seed: number, perHour: number, count: number, several: boolean): GavelJob[] {
  const speeds = readSpeeds();
  const jobs = new PythonRandom(seed + 2);
  const arrivals = new PythonRandom(seed + 3);
  const made: GavelJob[] = [];
  for (let id = 0, submit = 0; id < count; id++) {
    const lot = jobs.uniform(0, 1);
    const size = !several || lot < 0.7 ? 1 : lot <= 0.8 ? 2 : lot < 0.95 ? 4 : 8;
    const minutes = 10 ** (jobs.random() >= 0.8 ? jobs.uniform(3, 4) : jobs.uniform(1.5, 3));
    const chosen = drawType(jobs, size > 1);
    const speed = GAVEL_KINDS.map((kind) => speeds.get(`${kind}/${chosen.type}/${size}`) ?? 0) as [number, number, number];
    made.push({ id, submit, type: chosen.type, devices: size, steps: minutes * 60 * speed[0], speed });
    submit += (-Math.log(1 - arrivals.random()) * 3600) / perHour;
  }
  return made;
}

/** Where several devices share a job, types that cannot do so are drawn again. */
function drawType(random: PythonRandom, distributed: boolean): (typeof TYPES)[number] {
  for (;;) {
    const drawn = random.choice(TYPES);
    if (drawn.distributed || !distributed) return drawn;
  }
}

function readSpeeds(): Map<string, number> {
  const rows = readTrace("gavel_throughputs.csv.gz");
  return new Map(rows.map((row) => [`${row["gpu_type"]}/${row["job_type"]}/${row["scale_factor"]}`, Number(row["steps_per_s"])]));
}
