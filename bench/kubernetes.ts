import type { WorkerStart } from "@muster/engine";
import { byKubeScheduler, byMuster, withEngine, type Bound } from "./kubernetes/binding.ts";
import { FakeCluster } from "./kubernetes/fake-cluster.ts";
import { gangs, gangsOn, singles } from "./kubernetes/starts.ts";
import { wholeMuster } from "./kubernetes/whole.ts";

/** Smaller for a short look: the figures are then of that size. */
const number = (name: string, usual: number): number => Number(process.env[name] ?? usual);
const SIZES = (process.env["MUSTER_BENCH_NODES"] ?? "1000,5000").split(",").map(Number);
const SINGLES = number("MUSTER_BENCH_SINGLES", 1000);
const ROUNDS = number("MUSTER_BENCH_ROUNDS", 2);
const LARGE_STARTS = number("MUSTER_BENCH_LARGE_STARTS", 5);
const JOBS = number("MUSTER_BENCH_JOBS", 4000);
/** Which of `pods` (single ones and gangs), `large` (gangs) and `jobs` (through all of Muster) are measured. */
const PARTS = new Set((process.env["MUSTER_BENCH_PARTS"] ?? "pods,large,jobs").split(","));
const LIMIT_MINUTES = number("MUSTER_BENCH_MINUTES", 60);
const JOB_NODES = 500;
const LARGE = 512;
/** Under so many pods a second kube-scheduler was held back by something, and is nothing to be compared with. */
const LEAST = 60;

const PEERS = {
  kube_scheduler: "Kubernetes 1.37.2 on the same pods in the same run",
  kai_4000_jobs_on_500_nodes_s: 398,
  kai_4000_jobs_while_submitting_s: 461,
  kai_512_pod_gang_s: 48.7,
  kai: "KAI-Scheduler 0.17, its docs/scale-tests of July 2026",
};

type Figures = Record<string, number>;

/** Pods of one-device jobs and of gangs from their submission until all are bound, beside kube-scheduler alone; and 4,000 jobs through all of Muster. */
export async function run(): Promise<{ figures: Figures; peers: Record<string, unknown> }> {
  // what it started ends with this process
  const limit = setTimeout(() => {
    say(`not done within ${LIMIT_MINUTES} min (MUSTER_BENCH_MINUTES)`);
    process.exit(1);
  }, LIMIT_MINUTES * 60_000);
  const figures: Figures = {};
  const ratios: Record<"single" | "gang", number[]> = { single: [], gang: [] };
  for (const nodes of PARTS.has("pods") || PARTS.has("large") ? SIZES : []) {
    const cluster = await FakeCluster.start(nodes);
    say(`${nodes} nodes of 8 devices, kept by kwok`);
    try {
      // a control plane that has just begun is slower, and ends watches more often
      await byKubeScheduler(cluster, singles(SINGLES, nodes));
      if (PARTS.has("pods")) {
        const sizes = gangsOn(nodes);
        ratios.single.push(await besideKubeScheduler(cluster, `single_${nodes}`, figures, () => singles(SINGLES, nodes)));
        ratios.gang.push(await besideKubeScheduler(cluster, `gang_${nodes}`, figures, () => gangs(sizes)));
        figures[`gangs_per_second_${nodes}`] = round(
          (figures[`pods_per_second_gang_${nodes}`] as number) * (sizes.length / sizes.reduce((sum, one) => sum + one, 0)),
        );
      }
      if (PARTS.has("large") && nodes === Math.max(...SIZES)) await largeGangs(cluster, Math.min(LARGE, nodes), figures);
    } finally {
      await cluster.stop();
    }
  }
  if (PARTS.has("pods")) {
    figures["ratio_single"] = round(Math.max(...ratios.single));
    figures["ratio_gang"] = round(Math.max(...ratios.gang));
    figures["api_calls_per_pod"] = figures[`api_calls_per_pod_gang_${Math.max(...SIZES)}`] as number;
  }
  if (PARTS.has("jobs")) Object.assign(figures, await wholeMuster(JOBS, Math.ceil((JOBS * JOB_NODES) / 4000), say));
  clearTimeout(limit);
  return { figures, peers: PEERS };
}

/** The same pods by both, in turns, as the machine isn't the same all the time. @returns how much longer ours takes */
async function besideKubeScheduler(cluster: FakeCluster, key: string, figures: Figures, make: () => WorkerStart[]): Promise<number> {
  const ours: Bound[] = [];
  const alone: Bound[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    if (round % 2 === 0) ours.push(await byMuster(cluster, make()));
    alone.push(await byKubeScheduler(cluster, make()));
    if (round % 2 === 1) ours.push(await byMuster(cluster, make()));
  }
  const [mine, theirs] = [total(ours), total(alone)];
  const ratio = mine.seconds / theirs.seconds;
  figures[`ratio_${key}`] = round(ratio);
  figures[`pods_per_second_${key}`] = round(mine.pods / mine.seconds);
  figures[`kube_scheduler_pods_per_second_${key}`] = round(theirs.pods / theirs.seconds);
  figures[`api_calls_per_pod_${key}`] = round(mine.calls / mine.pods);
  figures[`api_writes_per_pod_${key}`] = round(mine.writes / mine.pods);
  say(`  ${key}: ${line(mine)}; kube-scheduler alone ${line(theirs)}; ratio ${ratio.toFixed(2)}, ${(mine.writes / mine.pods).toFixed(2)} writes a pod`);
  if (theirs.pods / theirs.seconds < LEAST) say(`  kube-scheduler alone bound under ${LEAST} pods a second here: no baseline`);
  return ratio;
}

/** One after another, each on an otherwise empty cluster. */
async function largeGangs(cluster: FakeCluster, size: number, figures: Figures): Promise<void> {
  const seconds = await withEngine(cluster, async (hand) => {
    const all: number[] = [];
    for (let count = 0; count < LARGE_STARTS; count++) all.push((await hand(gangs([size]))).seconds);
    figures["rss_mib"] = Math.round(process.memoryUsage.rss() / 2 ** 20);
    return all.sort((a, b) => a - b);
  });
  figures["gang_512_start_p50_s"] = round(quantile(seconds, 0.5));
  figures["gang_512_start_p99_s"] = round(quantile(seconds, 0.99));
  say(`  a gang of ${size}, ${seconds.length} times: ${seconds.map((one) => one.toFixed(1)).join(", ")} s; ${figures["rss_mib"]} MiB`);
}

function total(all: readonly Bound[]): Bound {
  const sum = (of: (one: Bound) => number): number => all.reduce((so, one) => so + of(one), 0);
  return { pods: sum((one) => one.pods), seconds: sum((one) => one.seconds), calls: sum((one) => one.calls), writes: sum((one) => one.writes) };
}

/** Of sorted values, the smallest that this part of them doesn't exceed. */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.ceil(sorted.length * part) - 1] as number;
}

const line = ({ pods, seconds }: Bound): string => `${pods} pods in ${seconds.toFixed(1)} s, ${(pods / seconds).toFixed(0)}/s`;
const round = (value: number): number => Math.round(value * 100) / 100;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
