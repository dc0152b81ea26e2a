import type { OverviewView, PoolView } from "@muster/model";
import { plural } from "./format.ts";
import { NEVER_START } from "./words.ts";
import type { Tone } from "./words.ts";

export interface Verdict {
  tone: Tone;
  text: string;
  /** What is wrong, worst first. */
  points: string[];
}

/** Whether anything needs someone, in one line. */
export function verdictOf(overview: OverviewView): Verdict {
  const bad: string[] = [];
  const warn: string[] = [];
  const control = overview.control_plane;
  if (control.starts_paused !== null) bad.push(`starts are paused: ${control.starts_paused}`);
  if (control.scheduler.leader === null) bad.push("no scheduler leads");
  const away = control.shards.filter((shard) => !shard.reachable);
  if (away.length > 0) bad.push(away.length === 1 ? `${away[0]?.name} does not answer` : `${away.length} engines do not answer`);
  const critical = overview.open_incidents.filter((incident) => incident.severity === "critical").length;
  const other = overview.open_incidents.filter((incident) => incident.severity === "warning").length;
  if (critical > 0) bad.push(plural(critical, "critical incident"));
  if (other > 0) warn.push(plural(other, "open warning"));
  if (overview.broken_nodes.length > 0) warn.push(`${plural(overview.broken_nodes.length, "node")} out of service`);
  const hopeless = NEVER_START.reduce((sum, reason) => sum + (overview.waiting.by_reason[reason] ?? 0), 0);
  if (hopeless > 0) warn.push(`${plural(hopeless, "waiting job")} can't start as the cluster is`);
  const recovering = overview.jobs["recovering"] ?? 0;
  if (recovering > 0) warn.push(`${plural(recovering, "job")} recovering`);
  const points = [...bad, ...warn];
  if (points.length === 0) return { tone: "run", text: "All is well", points };
  return { tone: bad.length > 0 ? "bad" : "warn", text: bad.length > 0 ? "Needs you now" : "Worth a look", points };
}

/** Counts of the states that an operator asks about first. */
export function stateCounts(jobs: OverviewView["jobs"]): {
  running: number;
  coming: number;
  recovering: number;
  stopping: number;
  waiting: number;
  held: number;
} {
  const of = (state: string): number => jobs[state] ?? 0;
  return {
    running: of("running"),
    coming: of("scheduled") + of("starting"),
    recovering: of("recovering"),
    stopping: of("stopping"),
    waiting: of("queued"),
    held: of("held") + of("suspended"),
  };
}

/** Devices of a node of this pool, where all are alike. */
export const devicesPerNode = (pool: Pick<PoolView, "nodes" | "devices">): number =>
  pool.nodes.total > 0 ? Math.round(pool.devices.total / pool.nodes.total) : 0;

/** The largest gangs that could start now, the loosest first, those of equal size told once by their tightest segment. */
export function gangSizes(pool: Pick<PoolView, "largest_gang" | "nodes" | "devices">): { segment: number; nodes: number; devices: number }[] {
  const each = devicesPerNode(pool);
  return [...pool.largest_gang].sort((a, b) => a.segment - b.segment).map(({ segment, nodes }) => ({ segment, nodes, devices: nodes * each }));
}

/** Attempts beyond the first. */
export const restartsOf = (job: { attempt: number }): number => Math.max(0, job.attempt - 1);
