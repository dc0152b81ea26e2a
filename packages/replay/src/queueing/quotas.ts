import type { OrderedJob } from "@muster/placement/ordering/job";
import type { TraceJob } from "./simulation.ts";

/**
 * Of each tenant, the jobs that would run in a private cluster of its quota: taken in order, those that do not fit passed
 * over. They go before all others; what a tenant leaves unused is lent until one of its own jobs needs it.
 */
export class Guaranteed {
  readonly #quotas: ReadonlyMap<string, number>;
  readonly #active = new Map<string, Set<OrderedJob>>();
  readonly #guaranteed = new Set<OrderedJob>();
  readonly #changed = new Set<string>();

  /** @param quotas devices by tenant */
  constructor(quotas: ReadonlyMap<string, number>) {
    this.#quotas = quotas;
  }

  add(job: OrderedJob): void {
    const active = this.#active.get(job.tenant) ?? new Set();
    active.add(job);
    this.#active.set(job.tenant, active);
    this.#changed.add(job.tenant);
  }

  remove(job: OrderedJob): void {
    this.#active.get(job.tenant)?.delete(job);
    this.#guaranteed.delete(job);
    this.#changed.add(job.tenant);
  }

  has(job: OrderedJob): boolean {
    return this.#guaranteed.has(job);
  }

  /** Chooses anew for tenants whose jobs changed. True where there were any. */
  settle(key: (job: OrderedJob) => number): boolean {
    for (const tenant of this.#changed) {
      let left = this.#quotas.get(tenant) ?? 0;
      const active = [...(this.#active.get(tenant) ?? [])].map((job) => ({ job, key: key(job) }));
      active.sort((a, b) => a.key - b.key || a.job.id - b.job.id);
      for (const { job } of active) {
        if (job.devices <= left) {
          left -= job.devices;
          this.#guaranteed.add(job);
        } else this.#guaranteed.delete(job);
      }
    }
    const changed = this.#changed.size > 0;
    this.#changed.clear();
    return changed;
  }
}

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
