/**
 * Queueing quality in virtual time: Muri's traces 1 and 3 (64 devices) and Philly's October 2017 (512). First
 * the published schedulers under their simulator's own rules (parity), then every scheduler in one simulation, in three
 * classes by what it may know; then further mixes, and Gavel's mix of V100, P100 and K80. Muster is the placement engine that the
 * scheduler runs, its queues set to `order: least_service`; it pays for every restart and every move, the preemptive references
 * move for nothing. `MUSTER_BENCH_GAVEL=whole` adds the loads at which queues only grow.
 */
import { drawLines, type Series } from "./charts/lines.ts";
import { LOADS } from "./queueing/gavel.ts";
import type { GavelPoint, Part, Ratio } from "./queueing/part.ts";
import { PARTS } from "./queueing/parts.ts";
import { runParts } from "./queueing/pool.ts";
import { CASES } from "./queueing/schedulers.ts";

interface Report {
  figures: Record<string, number>;
  peers: Record<string, number>;
}

/** Those that take longest, first, so that all cores end at about the same time. */
const LONG = /^(philly|fairness|gavel multiple|gavel single)/;

export async function run(): Promise<Report> {
  const saturated = new Set((["single", "multiple"] as const).map((trace) => `gavel ${trace} ${LOADS[trace].at(-1)}`));
  const names = [...PARTS.keys()].filter((name) => process.env["MUSTER_BENCH_GAVEL"] === "whole" || !saturated.has(name));
  const found = await runParts([...names.filter((name) => LONG.test(name)).reverse(), ...names.filter((name) => !LONG.test(name))]);
  const report: Report = { figures: {}, peers: {} };
  const parts = names.map((name) => [name, found.get(name)!] as const);
  for (const [name, part] of parts) {
    for (const line of [...headOf(name), ...part.lines]) console.error(line);
    Object.assign(report.figures, part.figures);
    Object.assign(report.peers, part.peers);
  }
  sumUp(
    parts.flatMap(([, part]) => part.ratios),
    report,
  );
  draw(found);
  return report;
}

function headOf(name: string): string[] {
  if (name === "further 0") return ["\nfurther mixes: average and p99 JCT of Muster over those of the best of its class by average JCT"];
  if (name === `gavel single ${LOADS.single[0]}`) return ["\nGavel: 36 V100, 36 P100, 36 K80; average JCT in hours, jobs 4000 to 5000, mean of seeds 0 to 2"];
  return [];
}

function sumUp(ratios: readonly Ratio[], report: Report): void {
  for (const knowledge of ["nothing", "limits", "runtimes"]) {
    const of = ratios.filter((ratio) => ratio.knowledge === knowledge);
    for (const [key, values] of [
      ["avg", of.map((ratio) => ratio.average)],
      ["p99", of.map((ratio) => ratio.p99)],
    ] as const) {
      if (values.length === 0) continue;
      report.figures[`held_out_${knowledge}_${key}_ratio_mean`] = Number((values.reduce((a, b) => a + b, 0) / values.length).toFixed(3));
      report.figures[`held_out_${knowledge}_${key}_ratio_worst`] = Number(Math.max(...values).toFixed(3));
    }
  }
}

function draw(found: ReadonlyMap<string, Part>): void {
  for (const { key, title } of CASES) {
    drawLines(
      `queueing-${key}`,
      `${title}: jobs done within a time, nothing known`,
      { name: "seconds from submission", log: true, min: 10 },
      { name: "%", min: 0, max: 100 },
      found.get(key)?.cdf ?? [],
    );
  }
  drawGavel([...found.values()].flatMap((part) => part.gavel));
}

/** Average JCT by load, of what knows no run times. */
function drawGavel(points: readonly GavelPoint[]): void {
  for (const trace of ["single", "multiple"]) {
    const line = (name: string, policy: string, published: boolean): Series => ({
      name,
      dashed: published,
      points: points
        .filter((p) => p.trace === trace && p.policy === policy && p.published === published)
        .map((p) => [p.load, p.hours] as const)
        .sort(([a], [b]) => a - b),
    });
    drawLines(
      `gavel-${trace}`,
      `36 V100, 36 P100, 36 K80; jobs of ${trace === "single" ? "one device" : "one to eight devices"}`,
      { name: "jobs an hour", min: 2 },
      { name: "average JCT, hours", min: 0, max: 60 },
      [
        line("Muster by least service", "engine_nothing", false),
        line("Muster by arrival", "engine_arrival", false),
        line("Gavel LAS, its rules on our draws", "max_min_fairness_perf", false),
        line("Gavel LAS, published", "max_min_fairness_perf", true),
        line("Gavel FIFO, published", "fifo_perf", true),
        line("LAS blind to the kinds, published", "max_min_fairness", true),
      ],
    );
  }
}
