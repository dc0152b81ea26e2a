/**
 * Packing quality on Alibaba's openb cluster: the inflation protocol of FGD (USENIX ATC 2023), ten arrival orders
 * for each of five mixes. Our default policy learns the mix as it goes; the published policies are our own modes of
 * them, beside the authors' figures.
 */
import { bestFitScorer, defaultScorer, dotProductScorer, fgdScorer, gpuClusteringScorer, gpuPackingScorer, randomScorer, smallRandom } from "@muster/placement";
import type { NodeScorer } from "@muster/placement";
import { OPENB_TRACES, TraceMissing, allocationBound, allocationReached, inflate, inventedMix, readOpenb, readTrace } from "@muster/replay";
import type { Openb, OpenbArrivals, OpenbTrace } from "@muster/replay";
import { drawLines, type Series } from "./charts/lines.ts";

const INVENTED = 10;
const ARRIVED = [80, 90, 100, 110, 120, 130];
const DRAWN = Array.from({ length: 26 }, (_, i) => 80 + 2 * i);

interface Report {
  figures: Record<string, number>;
  peers: Record<string, number>;
}

const MODES: Record<string, (openb: Openb, arrivals: OpenbArrivals) => NodeScorer> = {
  Random: (_openb, { seed }) => randomScorer(smallRandom(seed)),
  DotProd: () => dotProductScorer(),
  GpuClustering: (openb) => gpuClusteringScorer(openb.nodes.length),
  GpuPacking: () => gpuPackingScorer(),
  BestFit: () => bestFitScorer(),
  FGD: (openb) => fgdScorer(openb.typical),
  Muster: () => defaultScorer(),
};

export async function run(): Promise<Report> {
  const report: Report = { figures: {}, peers: {} };
  try {
    for (const trace of OPENB_TRACES) packTrace(trace, report);
    packInvented(report);
  } catch (error) {
    if (!(error instanceof TraceMissing)) throw error;
    console.error(error.message);
  }
  return report;
}

function packTrace(trace: OpenbTrace, report: Report): void {
  const openb = readOpenb(trace);
  const published = publishedAllocation(trace);
  const fgd: number[] = [];
  console.error(`\n${trace}: allocated % of 6,212 devices, mean over ${openb.arrivals.length} orders`);
  console.error(
    `  ${"policy".padEnd(14)}${ARRIVED.map((a) => `${a}%`.padStart(8)).join("")}   sd    fragmented at 100-130 %  failed  per s   published at 130 % (largest difference of one order)`,
  );
  const lines: Series[] = [];
  for (const [name, make] of Object.entries(MODES)) {
    const started = performance.now();
    const runs = openb.arrivals.map((arrivals) => inflate(openb, arrivals, make(openb, arrivals)));
    const seconds = (performance.now() - started) / 1000;
    const at130 = runs.map((r) => r.allocated.get(130) ?? NaN);
    if (name === "FGD") fgd.push(...at130);
    const columns = ARRIVED.map((a) =>
      mean(runs.map((r) => r.allocated.get(a) ?? NaN))
        .toFixed(2)
        .padStart(8),
    ).join("");
    lines.push({ name, points: DRAWN.map((a) => [a, round(mean(runs.map((r) => r.allocated.get(a) ?? NaN)))] as const), dashed: name !== "Muster" });
    const decisions = runs.reduce((sum, r) => sum + r.placed + r.failed, 0) / seconds;
    const peer = published.get(name);
    const beside = peer ? `${mean(peer).toFixed(2)} (${Math.max(...peer.map((p, i) => Math.abs(p - at130[i]!))).toFixed(2)})` : "";
    console.error(
      `  ${name.padEnd(14)}${columns}  ${deviation(at130).toFixed(2)}  ${[100, 110, 120, 130]
        .map((a) => mean(runs.map((r) => r.fragmented.get(a) ?? NaN)).toFixed(2))
        .join("/")
        .padStart(23)}  ` +
        `${mean(runs.map((r) => r.failed))
          .toFixed(0)
          .padStart(5)}  ${decisions.toFixed(0).padStart(6)}  ${beside}`,
    );
    if (peer) report.peers[`published_${name.toLowerCase()}_${trace}`] = round(mean(peer));
    if (name === "FGD") report.figures[`fgd_${trace}`] = round(mean(at130));
    if (name === "Muster") {
      const gains = at130.map((value, i) => value - fgd[i]!);
      console.error(
        `  Muster above FGD by ${mean(gains).toFixed(2)} points, sd of the paired difference ${deviation(gains).toFixed(2)}: ` +
          `${(mean(gains) / deviation(gains)).toFixed(1)} of them (aim: more than 2), least ${Math.min(...gains).toFixed(2)}`,
      );
      report.figures[`allocation_${trace}`] = round(mean(at130));
      report.figures[`gain_in_sd_${trace}`] = round(mean(gains) / deviation(gains));
    }
  }
  const bounds = openb.arrivals.map((arrivals) => allocationBound(openb, arrivals));
  report.figures[`bound_${trace}`] = round(mean(bounds));
  lines.push({
    name: "bound",
    points: [
      [80, report.figures[`bound_${trace}`]!],
      [130, report.figures[`bound_${trace}`]!],
    ],
    dashed: true,
  });
  drawLines(
    `packing-${trace}`,
    `openb, ${trace}: devices in use, mean of ten orders`,
    { name: "arrived, % of all devices", min: 80, max: 130 },
    { name: "allocated %", min: 75, max: 100 },
    lines,
  );
  const reached = allocationReached(openb, openb.arrivals[0]!);
  report.figures[`reached_${trace}`] = round(reached);
  console.error(
    `  no policy can be above ${mean(bounds).toFixed(2)} (relaxation: free choice of what to accept, nodes of one kind merged); ` +
      `of the first order, bound ${bounds[0]!.toFixed(2)}, a plan that knows it and refuses some reaches ${reached.toFixed(2)}`,
  );
}

/** Mixes drawn at random, on the same nodes: what was tuned to openb alone would show here. */
function packInvented(report: Report): void {
  const { nodes } = readOpenb("default");
  console.error("\nmixes drawn at random, allocated % when 130 % has arrived");
  const gains: number[] = [];
  for (let seed = 1; seed <= INVENTED; seed++) {
    const openb = inventedMix(nodes, seed);
    const arrivals = openb.arrivals[0]!;
    const allocated = new Map(Object.entries(MODES).map(([name, make]) => [name, lastOf(inflate(openb, arrivals, make(openb, arrivals)).allocated)]));
    gains.push(allocated.get("Muster")! - allocated.get("FGD")!);
    console.error(`  ${String(seed).padStart(2)}  ${[...allocated].map(([name, value]) => `${name} ${value.toFixed(2)}`).join("  ")}`);
  }
  report.figures["unseen_mean_gain"] = round(mean(gains));
  report.figures["unseen_least_gain"] = round(Math.min(...gains));
}

function lastOf(allocated: ReadonlyMap<number, number>): number {
  return [...allocated.values()].at(-1) ?? NaN;
}

function publishedAllocation(trace: string): Map<string, number[]> {
  const rows = readTrace("openb_published.csv.gz").filter((r) => r["trace"] === trace && r["metric"] === "alloc" && r["arrived_pct"] === "130");
  const seeds = Array.from({ length: 10 }, (_, i) => `seed${42 + i}`);
  return new Map(rows.map((row) => [row["policy"] ?? "", seeds.map((seed) => Number(row[seed]))]));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
