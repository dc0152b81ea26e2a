import { muster, nodeQuotas, simulate, summarise, type SimJob, type SimResult, type TraceJob } from "@muster/replay";
import { emptyPart, type Part } from "./part.ts";
import type { Case } from "./schedulers.ts";

/** Seconds. */
const OCTOBER = 2_678_400;

/**
 * HiveD's test: each tenant's mean JCT over that in a private cluster of its quota, which is its share of the device-hours in
 * whole nodes, under the same order. Once with one order for all, once with each tenant's quota guaranteed and the rest lent.
 * The noise is the standard error of the mean difference between the two, job by job.
 */
export function fairness(c: Case): Part {
  const part = emptyPart();
  const jobs = c.jobs();
  const shared = simulate(jobs, muster("runtimes", c.nodes, 8), { nodes: c.nodes, nodeDevices: 8, firstStartCosts: false });
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
    ["quotas guaranteed, the rest lent, reclaim: nominal", "quotas", guaranteed],
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
    part.lines.push(
      `  fairness, policy "${policy}": average JCT ${s.averageJct.toFixed(0)}, p99 ${s.p99Jct.toFixed(0)}, ${s.preemptions} preemptions; JCT over JCT in a private cluster (of so many nodes): ` +
        `${rows.map((row) => `${row.tenant} ${row.ratio.toFixed(3)}±${row.noise.toFixed(3)} (${row.nodes})`).join("  ")}; worst ${worst.ratio.toFixed(3)}±${worst.noise.toFixed(3)}; ` +
        `Jain index of served hours ${jain.toFixed(3)}`,
    );
    part.figures[`${c.key}_${key}_worst_tenant_ratio`] = Number(worst.ratio.toFixed(3));
    part.figures[`${c.key}_${key}_worst_tenant_noise`] = Number(worst.noise.toFixed(3));
    part.figures[`${c.key}_${key}_jain_index`] = Number(jain.toFixed(3));
    part.figures[`${c.key}_${key}_avg_jct_s`] = Math.round(s.averageJct);
  }
  return part;
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
