import type { TraceJob } from "./simulation.ts";

/**
 * Whole nodes by tenant in proportion to the work of their jobs, together all of the cluster, and enough for the widest job
 * of each.
 */
export function nodeQuotas(jobs: readonly TraceJob[], nodes: number, nodeDevices: number): Map<string, number> {
  const tenants = new Map<string, { work: number; widest: number }>();
  let total = 0;
  for (const job of jobs) {
    const tenant = tenants.get(job.tenant) ?? { work: 0, widest: 1 };
    const work = job.devices * job.runTime;
    tenant.work += work;
    total += work;
    tenant.widest = Math.max(tenant.widest, Math.ceil(job.devices / nodeDevices));
    tenants.set(job.tenant, tenant);
  }
  const list = [...tenants]
    .map(([name, { work, widest }]) => ({ name, wanted: (work / total) * nodes, widest, nodes: 0 }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const tenant of list) tenant.nodes = Math.max(tenant.widest, Math.floor(tenant.wanted));
  const given = (): number => list.reduce((sum, tenant) => sum + tenant.nodes, 0);
  while (given() < nodes) list.reduce((a, b) => (b.wanted - b.nodes > a.wanted - a.nodes ? b : a)).nodes++;
  while (given() > nodes) {
    const spare = list.filter((tenant) => tenant.nodes > tenant.widest);
    if (spare.length === 0) throw new Error(`${nodes} nodes are too few for the widest job of each tenant`);
    spare.reduce((a, b) => (b.nodes - b.wanted > a.nodes - a.wanted ? b : a)).nodes--;
  }
  return new Map(list.map((tenant) => [tenant.name, tenant.nodes]));
}
