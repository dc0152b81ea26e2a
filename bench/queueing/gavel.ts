import { PythonRandom, fifoAware, gavelEarlier, gavelFinal, gavelJobs, lasAware, lasBlind, runEngine, runRounds, type SharePolicy } from "@muster/replay";
import type { Knowledge } from "@muster/placement/ordering/service-order";
import { emptyPart, type Part } from "./part.ts";

/** Jobs an hour; the last of each only where the whole is asked for, as queues that only grow take as long as all the others. */
export const LOADS = { single: [2, 4, 4.8, 5.6], multiple: [2, 2.4, 2.8] } as const;
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

/** The engine, each beside the published policy that knows as much. */
const OURS: readonly { order: "arrival" | Knowledge; title: string; beside: string }[] = [
  { order: "arrival", title: "Muster, by arrival", beside: "fifo_perf" },
  { order: "nothing", title: "Muster, by least service", beside: "max_min_fairness_perf" },
  { order: "runtimes", title: "Muster, told run times", beside: "allox" },
];

/**
 * Gavel's mix of V100, P100 and K80 at one load. First its own policies by its simulator's rules, beside what is published of the final
 * sweeps, then of an earlier one with other draws. Then the engine on the same jobs, which pays for every start and move.
 */
export function gavel(trace: "single" | "multiple", load: number): Part {
  const part = emptyPart();
  const earlier = gavelEarlier();
  const jobs = SEEDS.map((seed) => gavelJobs(seed, load, JOBS, trace === "multiple"));
  const mean = (run: (of: (typeof jobs)[number], seed: number) => number): number =>
    SEEDS.reduce((sum, seed, i) => sum + run(jobs[i]!, seed), 0) / SEEDS.length;
  const key = `gavel_${trace}_${String(load).replace(".", "_")}`;
  const published = (policy: string): string => {
    const hours = gavelFinal(trace, policy, load);
    const before = earlier.get(`continuous_${trace}/${policy}/${load}`);
    if (before !== undefined) part.peers[`${key}_${policy}_earlier_hours`] = before;
    if (hours === undefined) return "";
    part.gavel.push({ trace, policy, load, hours, published: true });
    part.peers[`${key}_${policy}_hours`] = hours;
    return `published ${hours.toFixed(1)}${before === undefined ? "" : `, earlier ${before.toFixed(1)}`}`;
  };
  const note = (policy: string, hours: number): void => {
    part.gavel.push({ trace, policy, load, hours, published: false });
    part.figures[`${key}_${policy}_hours`] = Number(hours.toFixed(2));
  };
  const parity = Object.entries(PARITY).map(([policy, make]) => {
    const hours = mean((of, seed) => runRounds(of, make(seed)));
    note(policy, hours);
    const theirs = gavelFinal(trace, policy, load) ?? NaN;
    return `${policy} ${hours.toFixed(1)} (${published(policy)}, ${((hours / theirs - 1) * 100).toFixed(1)} %)`;
  });
  const ours = OURS.map(({ order, title, beside }) => {
    const hours = mean((of) => runEngine(of, order));
    note(`engine_${order}`, hours);
    const theirs = published(beside);
    return `${title} ${hours.toFixed(1)}${theirs === "" ? "" : ` (${beside}: ${theirs})`}`;
  });
  part.lines.push(`  ${trace.padEnd(9)}${load.toFixed(1)}/h   ${parity.join("   ")}`, `${"".padEnd(18)}${ours.join("   ")}`);
  return part;
}
