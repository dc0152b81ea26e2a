/**
 * Queueing quality in virtual time: Muri's traces 1 and 3 (64 devices) and Philly's October 2017 (512). First
 * the published schedulers under their simulator's own rules (parity), then every scheduler in one simulation, in three
 * classes by what it may know. Muster is the placement engine that the scheduler runs, its queues set to `order: least_service`;
 * it pays for every restart and every move, the preemptive references move for nothing.
 */
import {
  TraceMissing,
  easy,
  fifo,
  invented,
  las,
  muriJobs,
  muster,
  nodeQuotas,
  parityRun,
  phillyOctober,
  phillySeptember,
  readMuri,
  readMuriPublished,
  simulate,
  sjf,
  srsf,
  srtf,
  summarise,
} from "@muster/replay";
import { MURI_TRACES } from "@muster/replay";
import { drawLines, type Series } from "./charts/lines.ts";
import { showGavel } from "./queueing/gavel.ts";
import type { ParityPolicy, Scheduler, SimJob, SimResult, Summary, TraceJob } from "@muster/replay";

type Knowledge = "nothing" | "limits" | "runtimes";

/** Seconds. */
const OCTOBER = 2_678_400;
const INVENTED = 6;

interface Report {
  figures: Record<string, number>;
  peers: Record<string, number>;
}

interface Entry {
  name: string;
  class: Knowledge;
  make: (nodes: number) => Scheduler;
  /** Pays for its first start too where the trace's protocol says so. */
  preemptive: boolean;
}

const ENTRIES: readonly Entry[] = [
  { name: "FIFO", class: "nothing", make: () => fifo(), preemptive: false },
  { name: "LAS (Tiresias-L)", class: "nothing", make: () => las(), preemptive: true },
  { name: "Muster", class: "nothing", make: (nodes) => muster("nothing", nodes, 8), preemptive: true },
  { name: "EASY", class: "limits", make: () => easy((job) => job.limit ?? Infinity), preemptive: false },
  { name: "Muster", class: "limits", make: (nodes) => muster("limits", nodes, 8), preemptive: true },
  { name: "SJF", class: "runtimes", make: () => sjf(), preemptive: false },
  { name: "SRTF", class: "runtimes", make: () => srtf(), preemptive: true },
  { name: "SRSF", class: "runtimes", make: () => srsf(), preemptive: true },
  { name: "Muster", class: "runtimes", make: (nodes) => muster("runtimes", nodes, 8), preemptive: true },
];

interface Case {
  key: string;
  title: string;
  nodes: number;
  firstStartCosts: boolean;
  jobs: () => TraceJob[];
}

const CASES: readonly Case[] = [
  { key: "muri1", title: "Muri trace 1, 64 devices", nodes: 8, firstStartCosts: true, jobs: () => muriJobs("muri1") },
  { key: "muri3", title: "Muri trace 3, 64 devices", nodes: 8, firstStartCosts: true, jobs: () => muriJobs("muri3") },
  { key: "philly_oct_512", title: "Philly October 2017, 512 devices", nodes: 64, firstStartCosts: false, jobs: phillyOctober },
];

/** Our earlier measurements of the same protocol by an independent program, average JCT in seconds. */
const PHILLY_PEERS: Record<string, number> = {
  las_philly_oct_512_avg_jct_s: 13_035,
  srsf_philly_oct_512_avg_jct_s: 12_191,
  easy_limits_philly_oct_512_avg_jct_s: 31_038,
};

export async function run(): Promise<Report> {
  const report: Report = { figures: {}, peers: {} };
  try {
    showParity(report);
  } catch (error) {
    sayMissing(error);
  }
  for (const c of CASES) {
    try {
      runCase(c, report);
    } catch (error) {
      sayMissing(error);
    }
  }
  for (const show of [showHeldOut, drawGavel]) {
    try {
      show(report);
    } catch (error) {
      sayMissing(error);
    }
  }
  return report;
}

/** Mixes beside the named traces, some of which were looked at while weights were chosen: Philly's September, and drawn ones. Muster over the best of its class in each. */
function showHeldOut(report: Report): void {
  console.error("\nfurther mixes: average and p99 JCT of Muster over those of the best of its class by average JCT");
  const cases: { name: string; nodes: number; jobs: readonly TraceJob[] }[] = [
    { name: "Philly September, 320 devices", nodes: 40, jobs: phillySeptember() },
    ...Array.from({ length: INVENTED }, (_, i) => ({ name: `drawn mix ${i + 1}, 64 devices`, nodes: 8, jobs: invented(i + 1, 64) })),
  ];
  const ratios = new Map<Knowledge, { average: number[]; p99: number[] }>();
  for (const { name, nodes, jobs } of cases) {
    const columns = (["nothing", "limits", "runtimes"] as const).map((knowledge) => {
      const found = ENTRIES.filter((entry) => entry.class === knowledge).map((entry) => {
        const s = summarise(simulate(jobs, entry.make(nodes), { nodes, nodeDevices: 8, firstStartCosts: false }));
        return { name: entry.name, average: s.averageJct, p99: s.p99Jct };
      });
      const ours = found.find((one) => one.name === "Muster")!;
      const best = found.filter((one) => one !== ours).reduce((a, b) => (b.average < a.average ? b : a));
      const of = ratios.get(knowledge) ?? { average: [], p99: [] };
      ratios.set(knowledge, of);
      of.average.push(ours.average / best.average);
      of.p99.push(ours.p99 / best.p99);
      return `${knowledge} ${of.average.at(-1)!.toFixed(3)} ${of.p99.at(-1)!.toFixed(3)} (${best.name})`;
    });
    console.error(`  ${name.padEnd(33)}${columns.map((column) => column.padEnd(44)).join("")}`);
  }
  for (const [knowledge, { average, p99 }] of ratios) {
    report.figures[`held_out_${knowledge}_avg_ratio_mean`] = Number((average.reduce((a, b) => a + b, 0) / average.length).toFixed(3));
    report.figures[`held_out_${knowledge}_avg_ratio_worst`] = Number(Math.max(...average).toFixed(3));
    report.figures[`held_out_${knowledge}_p99_ratio_mean`] = Number((p99.reduce((a, b) => a + b, 0) / p99.length).toFixed(3));
    report.figures[`held_out_${knowledge}_p99_ratio_worst`] = Number(Math.max(...p99).toFixed(3));
  }
}

/** Average JCT by load, of what knows no run times. */
function drawGavel(report: Report): void {
  const points = showGavel(report);
  for (const trace of ["single", "multiple"]) {
    const line = (name: string, policy: string, published: boolean): Series => ({
      name,
      dashed: published,
      points: points.filter((p) => p.trace === trace && p.policy === policy && p.published === published).map((p) => [p.load, p.hours] as const),
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

/** Of each trace what part of the jobs is done within a time, by what knows nothing. */
function drawCdf(c: Case, lines: Series[]): void {
  drawLines(
    `queueing-${c.key}`,
    `${c.title}: jobs done within a time, nothing known`,
    { name: "seconds from submission", log: true, min: 10 },
    { name: "%", min: 0, max: 100 },
    lines,
  );
}

function cdfOf(result: SimResult): [number, number][] {
  const jct = result.jobs.map((job) => job.finish - job.trace.submit).sort((a, b) => a - b);
  return Array.from({ length: 201 }, (_, i) => [Math.max(10, jct[Math.min(jct.length - 1, Math.floor((i / 200) * jct.length))]!), i / 2]);
}

/** A missing trace is said in one line; anything else is a fault. */
function sayMissing(error: unknown): void {
  if (!(error instanceof TraceMissing)) throw error;
  console.error(error.message);
}

function showParity(report: Report): void {
  console.error("Parity with the published schedulers, average JCT in s (ours, published, difference)");
  let worst = 0;
  for (const trace of MURI_TRACES) {
    const jobs = readMuri(trace);
    const published = readMuriPublished(trace);
    const columns = (["SRTF", "SRSF", "Tiresias_L"] satisfies ParityPolicy[]).map((policy) => {
      const jct = parityRun(jobs, policy);
      const ours = jct.reduce((sum, value) => sum + value, 0) / jct.length;
      const theirs = published.get(policy)?.averageJct ?? NaN;
      const difference = Math.abs(ours / theirs - 1) * 100;
      worst = Math.max(worst, difference);
      return `${policy} ${ours.toFixed(0)} ${theirs.toFixed(0)} ${difference.toFixed(4)} %`;
    });
    console.error(`  ${trace.padEnd(9)} ${columns.join("   ")}`);
    for (const [policy, { averageJct, p99Jct }] of published) {
      report.peers[`${policy.toLowerCase()}_${trace}_avg_jct_s`] = Math.round(averageJct);
      report.peers[`${policy.toLowerCase()}_${trace}_p99_jct_s`] = Math.round(p99Jct);
    }
  }
  report.figures["parity_worst_percent"] = Number(worst.toFixed(4));
  Object.assign(report.peers, PHILLY_PEERS);
}

function runCase(c: Case, report: Report): void {
  const jobs = c.jobs();
  console.error(`\n${c.title}: ${jobs.length} jobs`);
  console.error(
    `  ${"class".padEnd(9)}${"scheduler".padEnd(18)}${["avg JCT", "p50", "p99", "wait", "makespan", "preempted", "lost dev-h", "busy %"].map((h) => h.padStart(11)).join("")}`,
  );
  const lines: Series[] = [];
  for (const entry of ENTRIES) {
    const options = { nodes: c.nodes, nodeDevices: 8, firstStartCosts: c.firstStartCosts && entry.preemptive };
    const result = simulate(jobs, entry.make(c.nodes), options);
    const s = summarise(result);
    if (entry.class === "nothing") lines.push({ name: entry.name, points: cdfOf(result), dashed: entry.name !== "Muster" });
    console.error(
      `  ${entry.class.padEnd(9)}${entry.name.padEnd(18)}${columnsOf(s)
        .map((v) => v.padStart(11))
        .join("")}`,
    );
    if (entry.name !== "Muster") {
      report.peers[`engine_${entry.name.toLowerCase().replace(/ .*/, "")}_${c.key}_avg_jct_s`] = Math.round(s.averageJct);
      report.peers[`engine_${entry.name.toLowerCase().replace(/ .*/, "")}_${c.key}_p99_jct_s`] = Math.round(s.p99Jct);
      continue;
    }
    const key = `${c.key}_${entry.class}`;
    report.figures[`${key}_avg_jct_s`] = Math.round(s.averageJct);
    report.figures[`${key}_p99_jct_s`] = Math.round(s.p99Jct);
    report.figures[`${key}_preemptions`] = s.preemptions;
    report.figures[`${key}_lost_device_hours`] = Math.round(s.lostDeviceHours);
    if (c.key.startsWith("philly") && entry.class === "runtimes") showFairness(c, jobs, result, report);
  }
  drawCdf(c, lines);
  if (c.key.startsWith("muri")) showSharing(c.key);
}

function columnsOf(s: Summary): string[] {
  const whole = [s.averageJct, s.p50Jct, s.p99Jct, s.averageWait, s.makespan, s.preemptions, s.lostDeviceHours].map((v) => v.toFixed(0));
  return [...whole, (100 * s.busyUtilisation).toFixed(1)];
}

/** Schedulers that run several jobs on one device: printed beside, not ranked. */
function showSharing(key: string): void {
  const published = readMuriPublished(key === "muri1" ? "muri1" : "muri3");
  for (const name of ["Tiresias_L", "SRTF", "SRSF", "themis", "antman", "Muri_S", "Muri_L"]) {
    const p = published.get(name);
    const shares = ["antman", "Muri_S", "Muri_L"].includes(name) ? " (shares devices, not ranked)" : "";
    if (p)
      console.error(
        `  published ${name.padEnd(17)}${p.averageJct.toFixed(0).padStart(11)}${"".padStart(11)}${p.p99Jct.toFixed(0).padStart(11)}${"".padStart(11)}${p.makespan.toFixed(0).padStart(11)}${shares}`,
      );
  }
}

/**
 * HiveD's test: each tenant's mean JCT over that in a private cluster of its quota, which is its share of the device-hours in
 * whole nodes, under the same order. Once with one order for all, once with each tenant's quota guaranteed and the rest lent.
 * The noise is the standard error of the mean difference between the two, job by job.
 */
function showFairness(c: Case, jobs: readonly TraceJob[], shared: SimResult, report: Report): void {
  const quotas = nodeQuotas(jobs, c.nodes, 8);
  const apart = new Map<string, SimResult>();
  for (const [tenant, nodes] of quotas) {
    const own = jobs.filter((job) => job.tenant === tenant);
    apart.set(tenant, simulate(own, muster("runtimes", nodes, 8), { nodes, nodeDevices: 8, firstStartCosts: false }));
  }
  const devices = new Map([...quotas].map(([tenant, nodes]) => [tenant, nodes * 8]));
  const guaranteed = simulate(jobs, muster("runtimes", c.nodes, 8, devices), { nodes: c.nodes, nodeDevices: 8, firstStartCosts: false });
  for (const [policy, key, result] of [
    ["shared order (no quotas)", "shared_order", shared],
    ["quotas guaranteed, the rest lent", "quotas", guaranteed],
  ] as const) {
    const rows = [...quotas].map(([tenant, nodes]) => {
      const together = result.jobs.filter((job) => job.trace.tenant === tenant);
      const alone = apart.get(tenant)!.jobs;
      const mean = meanJct(alone);
      const served = servedBy(together, OCTOBER) / Math.min(servedBy(together, Infinity), nodes * 8 * OCTOBER);
      return { tenant, nodes, ratio: meanJct(together) / mean, noise: standardError(together.map((job, i) => job.finish - alone[i]!.finish)) / mean, served };
    });
    const worst = rows.reduce((a, b) => (b.ratio > a.ratio ? b : a));
    const served = rows.map((row) => row.served);
    const jain = served.reduce((a, b) => a + b, 0) ** 2 / (served.length * served.reduce((a, b) => a + b * b, 0));
    const s = summarise(result);
    console.error(
      `  fairness, policy "${policy}": average JCT ${s.averageJct.toFixed(0)}, p99 ${s.p99Jct.toFixed(0)}, ${s.preemptions} preemptions; JCT over JCT in a private cluster (of so many nodes): ` +
        `${rows.map((row) => `${row.tenant} ${row.ratio.toFixed(3)}±${row.noise.toFixed(3)} (${row.nodes})`).join("  ")}; worst ${worst.ratio.toFixed(3)}±${worst.noise.toFixed(3)}; ` +
        `Jain index of served hours ${jain.toFixed(3)}`,
    );
    report.figures[`${c.key}_${key}_worst_tenant_ratio`] = Number(worst.ratio.toFixed(3));
    report.figures[`${c.key}_${key}_worst_tenant_noise`] = Number(worst.noise.toFixed(3));
    report.figures[`${c.key}_${key}_jain_index`] = Number(jain.toFixed(3));
    report.figures[`${c.key}_${key}_avg_jct_s`] = Math.round(s.averageJct);
  }
}

function work(job: TraceJob): number {
  return job.devices * job.runTime;
}

/** Device-seconds of the jobs that ended by a time. */
function servedBy(jobs: readonly SimJob[], until: number): number {
  return jobs.reduce((sum, job) => sum + (job.finish <= until ? work(job.trace) : 0), 0);
}

function meanJct(jobs: readonly SimJob[]): number {
  return jobs.reduce((sum, job) => sum + job.finish - job.trace.submit, 0) / jobs.length;
}

function standardError(values: readonly number[]): number {
  const middle = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / Math.max(values.length - 1, 1) / values.length);
}
