/**
 * Queueing quality in virtual time: Muri's traces 1 and 3 (64 devices) and Philly's October 2017 (512 and 768). First
 * the published schedulers under their simulator's own rules (parity), then every scheduler on our engine, in three
 * classes by what it may know. Ours pays for every restart and every move; the preemptive references move for nothing.
 */
import {
  TraceMissing,
  easy,
  fifo,
  las,
  muriJobs,
  muster,
  parityRun,
  phillyOctober,
  readMuri,
  readMuriPublished,
  simulate,
  sjf,
  srsf,
  srtf,
  summarise,
} from "@muster/replay";
import { MURI_TRACES } from "@muster/replay";
import type { ParityPolicy, Scheduler, SimJob, SimResult, Summary, TraceJob } from "@muster/replay";

type Knowledge = "nothing" | "limits" | "runtimes";

interface Report {
  figures: Record<string, number>;
  peers: Record<string, number>;
}

interface Entry {
  name: string;
  class: Knowledge;
  make: (devices: number) => Scheduler;
  /** Pays for its first start too where the trace's protocol says so. */
  preemptive: boolean;
}

const ENTRIES: readonly Entry[] = [
  { name: "FIFO", class: "nothing", make: () => fifo(), preemptive: false },
  { name: "LAS (Tiresias-L)", class: "nothing", make: () => las(), preemptive: true },
  { name: "Muster", class: "nothing", make: (devices) => muster("nothing", devices), preemptive: true },
  { name: "EASY", class: "limits", make: () => easy((job) => job.limit ?? Infinity), preemptive: false },
  { name: "Muster", class: "limits", make: (devices) => muster("limits", devices), preemptive: true },
  { name: "SJF", class: "runtimes", make: () => sjf(), preemptive: false },
  { name: "SRTF", class: "runtimes", make: () => srtf(), preemptive: true },
  { name: "SRSF", class: "runtimes", make: () => srsf(), preemptive: true },
  { name: "Muster", class: "runtimes", make: (devices) => muster("runtimes", devices), preemptive: true },
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
  { key: "philly_oct_768", title: "Philly October 2017, 768 devices", nodes: 96, firstStartCosts: false, jobs: phillyOctober },
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
  return report;
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
  for (const entry of ENTRIES) {
    const options = { nodes: c.nodes, nodeDevices: 8, firstStartCosts: c.firstStartCosts && entry.preemptive };
    const result = simulate(jobs, entry.make(c.nodes * 8), options);
    const s = summarise(result);
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
 * Tenants without quotas ("shared order"): each tenant's mean JCT over that in a private cluster of its share of the
 * device-hours, rounded up to whole nodes, under the same order. The noise is the standard error of its mean.
 */
function showFairness(c: Case, jobs: readonly TraceJob[], shared: SimResult, report: Report): void {
  const total = jobs.reduce((sum, job) => sum + work(job), 0);
  const ratios: number[] = [];
  const served: number[] = [];
  const lines: string[] = [];
  const end = Math.max(...jobs.map((job) => job.submit));
  for (const tenant of [...new Set(jobs.map((job) => job.tenant))].sort()) {
    const own = jobs.filter((job) => job.tenant === tenant);
    const share = own.reduce((sum, job) => sum + work(job), 0) / total;
    const widest = Math.max(...own.map((job) => Math.ceil(job.devices / 8)));
    const nodes = Math.max(Math.ceil(share * c.nodes), widest);
    const apart = simulate(own, muster("runtimes", nodes * 8), { nodes, nodeDevices: 8, firstStartCosts: false });
    const together = shared.jobs.filter((job) => job.trace.tenant === tenant);
    const ratio = meanJct(together) / meanJct(apart.jobs);
    ratios.push(ratio);
    served.push(servedBy(together, end) / Math.min(servedBy(together, Infinity), share * c.nodes * 8 * end));
    lines.push(`${tenant} ${ratio.toFixed(2)}±${(standardError(together) / meanJct(apart.jobs)).toFixed(2)} (${nodes})`);
  }
  const jain = served.reduce((a, b) => a + b, 0) ** 2 / (served.length * served.reduce((a, b) => a + b * b, 0));
  console.error(
    `  fairness, policy "shared order" (no quotas): JCT over JCT in a private cluster (of so many nodes) by tenant: ${lines.join("  ")}; worst ${Math.max(...ratios).toFixed(2)}; Jain index of served hours ${jain.toFixed(3)}`,
  );
  report.figures[`${c.key}_worst_tenant_ratio`] = Number(Math.max(...ratios).toFixed(3));
  report.figures[`${c.key}_jain_index`] = Number(jain.toFixed(3));
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

function standardError(jobs: readonly SimJob[]): number {
  const middle = meanJct(jobs);
  const squares = jobs.reduce((sum, job) => sum + (job.finish - job.trace.submit - middle) ** 2, 0);
  return Math.sqrt(squares / Math.max(jobs.length - 1, 1) / jobs.length);
}
