import { readMuriPublished, simulate, summarise, type SimResult, type Summary } from "@muster/replay";
import { emptyPart, type Part } from "./part.ts";
import { ENTRIES, type Case } from "./schedulers.ts";

/** Every scheduler on one trace, in one simulation. */
export function oneCase(c: Case): Part {
  const part = emptyPart();
  const jobs = c.jobs();
  part.lines.push(`\n${c.title}: ${jobs.length} jobs`);
  const heads = ["avg JCT", "p50", "p99", "wait", "makespan", "preempted", "lost dev-h", "busy %"];
  part.lines.push(`  ${"class".padEnd(9)}${"scheduler".padEnd(18)}${heads.map((head) => head.padStart(11)).join("")}`);
  for (const entry of ENTRIES) {
    const options = { nodes: c.nodes, nodeDevices: 8, firstStartCosts: c.firstStartCosts && entry.preemptive };
    const result = simulate(jobs, entry.make(c.nodes), options);
    const s = summarise(result);
    if (entry.class === "nothing") part.cdf.push({ name: entry.name, points: cdfOf(result), dashed: entry.name !== "Muster" });
    const columns = columnsOf(s).map((value) => value.padStart(11));
    part.lines.push(`  ${entry.class.padEnd(9)}${entry.name.padEnd(18)}${columns.join("")}`);
    if (entry.name !== "Muster") {
      const peer = `engine_${entry.name.toLowerCase().replace(/ .*/, "")}_${c.key}`;
      part.peers[`${peer}_avg_jct_s`] = Math.round(s.averageJct);
      part.peers[`${peer}_p99_jct_s`] = Math.round(s.p99Jct);
      continue;
    }
    const key = `${c.key}_${entry.class}`;
    part.figures[`${key}_avg_jct_s`] = Math.round(s.averageJct);
    part.figures[`${key}_p99_jct_s`] = Math.round(s.p99Jct);
    part.figures[`${key}_preemptions`] = s.preemptions;
    part.figures[`${key}_lost_device_hours`] = Math.round(s.lostDeviceHours);
  }
  if (c.key.startsWith("muri")) part.lines.push(...published(c.key));
  return part;
}

function columnsOf(s: Summary): string[] {
  const whole = [s.averageJct, s.p50Jct, s.p99Jct, s.averageWait, s.makespan, s.preemptions, s.lostDeviceHours].map((v) => v.toFixed(0));
  return [...whole, (100 * s.busyUtilisation).toFixed(1)];
}

/** What part of the jobs is done within a time. */
function cdfOf(result: SimResult): [number, number][] {
  const jct = result.jobs.map((job) => job.finish - job.trace.submit).sort((a, b) => a - b);
  return Array.from({ length: 201 }, (_, i) => [Math.max(10, jct[Math.min(jct.length - 1, Math.floor((i / 200) * jct.length))]!), i / 2]);
}

/** The published seven; those that run several jobs on one device are printed beside, not ranked. */
function published(key: string): string[] {
  const known = readMuriPublished(key === "muri1" ? "muri1" : "muri3");
  return ["Tiresias_L", "SRTF", "SRSF", "themis", "antman", "Muri_S", "Muri_L"].flatMap((name) => {
    const p = known.get(name);
    if (p === undefined) return [];
    const shares = ["antman", "Muri_S", "Muri_L"].includes(name) ? " (shares devices, not ranked)" : "";
    const [average, p99, makespan] = [p.averageJct, p.p99Jct, p.makespan].map((value) => value.toFixed(0).padStart(11));
    return [`  published ${name.padEnd(17)}${average}${"".padStart(11)}${p99}${"".padStart(11)}${makespan}${shares}`];
  });
}
