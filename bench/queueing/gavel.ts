import { PythonRandom, fifoAware, gavelJobs, gavelPublished, lasAware, lasBlind, runEngine, runRounds, type SharePolicy } from "@muster/replay";
import type { Knowledge } from "@muster/placement/ordering/service-order";

/** Jobs an hour. */
const LOADS = { single: [2, 4, 4.8, 5.6], multiple: [2, 2.4, 2.8] } as const;
const SEEDS = [0, 1, 2];
const JOBS = 9000;

/** Gavel's own policies, by their published names. */
const PARITY: Record<string, (seed: number) => SharePolicy> = {
  fifo_perf: () => fifoAware,
  max_min_fairness: (seed) => {
    const random = new PythonRandom(seed + 5);
    return lasBlind(() => random.random());
  },
  max_min_fairness_perf: () => lasAware,
};

/** The engine, each beside the published policies that know as much. */
const OURS: readonly { order: "arrival" | Knowledge; title: string; beside: readonly string[] }[] = [
  { order: "arrival", title: "Muster, by arrival", beside: ["fifo_perf"] },
  { order: "nothing", title: "Muster, by least service", beside: ["max_min_fairness_perf"] },
  { order: "runtimes", title: "Muster, told run times", beside: ["allox"] },
];

/** Average JCT in hours by trace, policy and load, for a picture too. */
export interface GavelPoint {
  trace: string;
  policy: string;
  load: number;
  hours: number;
  published: boolean;
}

/**
 * Gavel's mix of V100, P100 and K80. First its own policies by its simulator's rules, beside what is published: the draws of its trace of
 * single devices are rebuilt to about 1 %; its trace of several devices holds 9 % more work than ours, so there only the
 * order of the policies can be compared. Then the engine, which pays for every start and move.
 */
export function showGavel(report: { figures: Record<string, number>; peers: Record<string, number> }): GavelPoint[] {
  const published = gavelPublished();
  const points: GavelPoint[] = [];
  console.error("\nGavel: 36 V100, 36 P100, 36 K80; average JCT in hours, jobs 4000 to 5000, mean of seeds 0 to 2");
  for (const trace of ["single", "multiple"] as const) {
    for (const load of LOADS[trace]) {
      const jobs = SEEDS.map((seed) => gavelJobs(seed, load, JOBS, trace === "multiple"));
      const mean = (run: (jobs: ReturnType<typeof gavelJobs>, seed: number) => number): number =>
        SEEDS.reduce((sum, seed, i) => sum + run(jobs[i]!, seed), 0) / SEEDS.length;
      const key = `gavel_${trace}_${String(load).replace(".", "_")}`;
      const note = (policy: string, hours: number, isPublished: boolean): void => {
        if (Number.isNaN(hours)) return;
        points.push({ trace, policy, load, hours, published: isPublished });
        (isPublished ? report.peers : report.figures)[`${key}_${policy}_hours`] = Number(hours.toFixed(2));
      };
      const parity = Object.entries(PARITY).map(([policy, make]) => {
        const hours = mean((of, seed) => runRounds(of, make(seed)));
        const theirs = published.get(`continuous_${trace}/${policy}/${load}`) ?? NaN;
        note(policy, hours, false);
        note(policy, theirs, true);
        return `${policy} ${hours.toFixed(1)} (published ${theirs.toFixed(1)}, ${((hours / theirs - 1) * 100).toFixed(1)} %)`;
      });
      const ours = OURS.map(({ order, title, beside }) => {
        const hours = mean((of) => runEngine(of, order));
        note(`engine_${order}`, hours, false);
        const peers = beside.map((policy) => {
          const theirs = published.get(`continuous_${trace}/${policy}/${load}`) ?? NaN;
          note(policy, theirs, true);
          return Number.isNaN(theirs) ? "" : ` (published ${policy} ${theirs.toFixed(1)})`;
        });
        return `${title} ${hours.toFixed(1)}${peers.join("")}`;
      });
      console.error(`  ${trace.padEnd(9)}${load.toFixed(1)}/h   ${parity.join("   ")}\n${"".padEnd(18)}${ours.join("   ")}`);
    }
  }
  return points;
}
