import { planSpares } from "@muster/lifecycle";
import { poolSpec, queueSpec, type NodeView, type PoolView, type ProjectView, type QueueView } from "@muster/model";
import type { LemonRow, NodeListRow, PoolListRow, SpareRow, ProjectRow, QueueListRow } from "@muster/store";
import { iso } from "./job.ts";

export function toNodeView(row: NodeListRow, faults: LemonRow | undefined): NodeView {
  return {
    ...row,
    faults: faults ? { score: faults.score, episodes: faults.episodes, since_repair: faults.since_repair, repairs: faults.repairs } : null,
    cpus: row.cpus / 1000,
    cpus_held: row.cpus_held / 1000,
    health_since: row.health_since.toISOString(),
    drain_deadline: iso(row.drain_deadline),
    last_seen: iso(row.last_seen),
    jobs: row.jobs ?? [],
  };
}

/** @param free nodes of the pool with every device free, by their place in the fabric */
export function toPoolView(row: PoolListRow, free: readonly { fabric: readonly string[]; free: number }[], spares: SpareRow | undefined): PoolView {
  const spec = poolSpec.parse({ ...row.spec, version: 1, name: row.name, engine: row.engine, vendor: row.vendor, accelerator: row.accelerator });
  return {
    ...spec,
    version: row.version,
    nodes: { total: row.nodes_total, healthy: row.nodes_healthy, schedulable: row.nodes_schedulable },
    devices: { total: row.devices_total, healthy: row.devices_healthy, schedulable: row.devices_schedulable, held: row.devices_held / 1000 },
    running_jobs: row.running_jobs,
    largest_gang: largestGangs(free, spec.fabric_levels.indexOf("leaf"), row.nodes_total),
    ...(spares && { spare_state: toSpareState(spares) }),
  };
}

function toSpareState(row: SpareRow): NonNullable<PoolView["spare_state"]> {
  const { spares, dailyRate, replenishDays } = planSpares(row);
  return {
    held_back: row.heldBack,
    lent: row.lent,
    advised: spares,
    nodes: row.nodes,
    failures: row.failures,
    node_days: Math.round(row.nodeDays * 10) / 10,
    daily_rate: Number(dailyRate.toPrecision(3)),
    repairs: row.repairs.length,
    replenish_days: Number(replenishDays.toPrecision(3)),
  };
}

/** The largest gang of whole free nodes if every `segment` of them had to share a leaf, for segments of 1, 2, 4... nodes. */
export function largestGangs(free: readonly { fabric: readonly string[]; free: number }[], leaf: number, nodes: number): { segment: number; nodes: number }[] {
  const leaves = new Map<string, number>();
  for (const block of free) {
    const key = leaf < 0 ? "" : block.fabric.slice(0, leaf + 1).join("\0");
    leaves.set(key, (leaves.get(key) ?? 0) + block.free);
  }
  const gangs: { segment: number; nodes: number }[] = [];
  for (let segment = 1; segment <= Math.min(nodes, 1024); segment *= 2) {
    let fits = 0;
    for (const count of leaves.values()) fits += Math.floor(count / segment) * segment;
    gangs.push({ segment, nodes: fits });
  }
  return gangs;
}

/** @param visible other projects' names are left out; null: all are shown */
export function toQueueView(row: QueueListRow, visible: readonly string[] | null): QueueView {
  const spec = queueSpec.parse({ ...row.spec, version: 1, name: row.name, parent: row.parent ?? undefined, projects: row.projects, paused: row.paused });
  return {
    ...spec,
    projects: visible ? spec.projects.filter((project) => project === "*" || visible.includes(project)) : spec.projects,
    version: row.version,
    waiting: { jobs: row.waiting_jobs, devices: row.waiting_devices },
    active: { jobs: row.active_jobs, devices: row.active_devices },
  };
}

export function toProjectView(row: ProjectRow): ProjectView {
  return { kind: "project", name: row.name, description: row.description, members: row.members ?? {}, version: row.version };
}
