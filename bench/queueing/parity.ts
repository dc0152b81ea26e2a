import { MURI_TRACES, parityRun, readMuri, readMuriPublished, type ParityPolicy } from "@muster/replay";
import { emptyPart, type Part } from "./part.ts";

/** Earlier measurements of the same protocol by an independent program, average JCT in seconds. */
const PHILLY_PEERS: Record<string, number> = {
  las_philly_oct_512_avg_jct_s: 13_035,
  srsf_philly_oct_512_avg_jct_s: 12_191,
  easy_limits_philly_oct_512_avg_jct_s: 31_038,
};

/** The published schedulers under their simulator's own rules, beside what is published of them. */
export function parity(): Part {
  const part = emptyPart();
  part.lines.push("Parity with the published schedulers, average JCT in s (ours, published, difference)");
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
    part.lines.push(`  ${trace.padEnd(9)} ${columns.join("   ")}`);
    for (const [policy, { averageJct, p99Jct }] of published) {
      part.peers[`${policy.toLowerCase()}_${trace}_avg_jct_s`] = Math.round(averageJct);
      part.peers[`${policy.toLowerCase()}_${trace}_p99_jct_s`] = Math.round(p99Jct);
    }
  }
  part.figures["parity_worst_percent"] = Number(worst.toFixed(4));
  Object.assign(part.peers, PHILLY_PEERS);
  return part;
}
