import type { WaitReason } from "./explanation.ts";
import { gateOf, type JobRecord } from "./jobs.ts";
import { judgePartition } from "./judge-partition.ts";
import { place, type PlaceOptions } from "./place.ts";
import type { Placement } from "./placement.ts";
import { chargesOf } from "./places.ts";
import { atLeast } from "./preempt.ts";
import { crossesZones } from "./preference.ts";
import { boundOf, withGaps } from "./recover.ts";
import { leadingRole, type Request, type ResolvedRole, type ResolvedVariant } from "./request.ts";
import type { State } from "./state.ts";
import { describe, filteredNodes, plain, quotaExceeded, quotaExhausted, SAMPLE, type Verdict } from "./verdict.ts";
import { bounds } from "./windows.ts";

/** From furthest from running to closest. */
const STAGES: readonly WaitReason[] = [
  "no_matching_pool",
  "exceeds_quota",
  "exceeds_topology",
  "quota_exhausted",
  "insufficient_capacity",
  "topology_fragmented",
  "nodes_unhealthy",
  "behind_higher_priority",
];

export function judge(state: State, job: JobRecord): Verdict {
  const gate = gateOf(job, state.now);
  if (gate !== null) return plain(gate.reason, gateMessage(job, gate.reason, gate.until));
  if (job.state === "reserved" || job.state === "stopping") {
    return plain("waiting_for_preemption", "evicted jobs are still stopping; their places are kept for it");
  }
  if (job.state === "recovering") return judgeRecovering(state, job);
  return closest(job.request.variants.map((variant) => judgeVariant(state, job, variant)));
}

/** The worst of its roles decides. */
function judgeVariant(state: State, job: JobRecord, variant: ResolvedVariant): Verdict {
  const verdicts = variant.roles.map((role) => judgeRole(state, job, variant, role));
  const worst = verdicts.reduce((a, b) => (stage(b) < stage(a) ? b : a));
  const exceeded =
    (stage(worst) > STAGES.indexOf("exceeds_quota") ? exceededTogether(state, job, variant) : null) ??
    (stage(worst) > STAGES.indexOf("exceeds_topology") ? neverTogether(state, job, variant) : null);
  if (exceeded !== null) return exceeded;
  return worst.reason === "behind_higher_priority" ? (judgeTogether(state, job, variant) ?? worst) : worst;
}

/** What all roles ask together may be more than the queue could ever use, wherever they go. */
function exceededTogether(state: State, job: JobRecord, variant: ResolvedVariant): Verdict | null {
  const { placer, quota } = state;
  if (variant.roles.length === 1) return null;
  const verdicts = placer.matching(variant, leadingRole(variant)).map((lead) => {
    return quotaExceeded(state, job.queue, quota.usageOf(placer.chargesFor(variant, lead)!));
  });
  return verdicts.every((verdict) => verdict !== null) ? (verdicts[0] ?? null) : null;
}

/** What each role could have for itself, some day, there may not be hardware for all of them at once. */
function neverTogether(state: State, job: JobRecord, variant: ResolvedVariant): Verdict | null {
  const { placer, empty } = state;
  if (variant.roles.length === 1) return null;
  const leads = placer.matching(variant, leadingRole(variant));
  if (leads.some((lead) => empty.takes(job.request, variant, lead))) return null;
  const roles = variant.roles.map((role) => {
    const where = placer.matching(variant, role).map((partition) => `${placer.counts(partition, role.shape, true).total} fit in ${partition.pool}`);
    return `${role.name} (${role.min} nodes with ${describe(role)}; ${where.join(", ")})`;
  });
  return plain("exceeds_topology", `roles ${roles.join(" and ")} never fit all at once, even when every node is healthy and empty`, [
    `nodes are added to ${[...new Set(leads.map(({ pool }) => `pool ${pool}`))].join(" or ")}`,
  ]);
}

function closest(verdicts: readonly Verdict[]): Verdict {
  return verdicts.reduce((a, b) => (stage(b) > stage(a) ? b : a));
}

function stage(verdict: Verdict): number {
  return STAGES.indexOf(verdict.reason);
}

/** What each role finds for itself may not be there for all of them at once, or only in more zones than the job may span now. */
function judgeTogether(state: State, job: JobRecord, variant: ResolvedVariant): Verdict | null {
  const { placer, quota, policy } = state;
  const request = atLeast(job.request, variant);
  const inOneZone = crossesZones(state, request);
  if (variant.roles.length === 1 && inOneZone === request) return null;
  const { allowed, ...anywhere } = bounds(state, job);
  const find = (asked: Request, options: PlaceOptions): Placement | null => {
    const found = place(placer, asked, options);
    if (found !== null) placer.untake(found);
    return found;
  };
  const found = find(request, anywhere);
  if (found === null) {
    const names = variant.roles.map((role) => role.name).join(" and ");
    return plain("insufficient_capacity", `roles ${names} would each fit now, but not all of them at once`, ["more nodes become free"]);
  }
  if (find(request, { ...anywhere, allowed }) === null) {
    const usage = quota.usageOf(chargesOf(found));
    return quotaExceeded(state, job.queue, usage) ?? quotaExhausted(state, job.queue, usage);
  }
  if (inOneZone === request || find(inOneZone, { ...anywhere, allowed }) !== null) return null;
  return plain(
    "topology_fragmented",
    `it would fit in several zones, but ${state.holding.crossing} jobs span zones already, of at most ${policy.maxCrossZoneJobs!}; no zone has room for all of it`,
    ["a job that spans zones ends", "room for all of it becomes free in one zone"],
  );
}

/** Why no replacement was found for lost members, node by node. */
function judgeRecovering(state: State, job: JobRecord): Verdict {
  const { names } = state.placer.nodes;
  for (const placed of job.placement!.roles) {
    const ranks = job.lost.get(placed.role.name) ?? [];
    if (ranks.length === 0) continue;
    const { level, anchor } = boundOf(state, job, placed, withGaps(placed, ranks), ranks);
    const inside = anchor === undefined || level === state.levels.root ? -1 : state.blockOf(placed.partition, anchor.node, level);
    const elsewhere = placed.partition.nodeAt.filter((slot) => inside >= 0 && state.blockOf(placed.partition, slot, level) !== inside);
    const outside = new Set(elsewhere);
    const filtered = filteredNodes(state, placed.partition, placed.role, (slot) => !outside.has(slot));
    if (outside.size > 0) {
      filtered.push({
        why: `outside the required ${state.levels.name(level)}`,
        nodes: outside.size,
        sampleNodes: Array.from(elsewhere.slice(0, SAMPLE), (slot) => names.name(slot)),
      });
    }
    const message =
      `no room for ${ranks.length} lost of ${placed.members.length + ranks.length} members: ` +
      filtered.map(({ why, nodes }) => `${nodes} nodes: ${why}`).join("; ");
    return { reason: outside.size > 0 ? "topology_fragmented" : "insufficient_capacity", message, wouldFitIf: [], blocks: [], filtered };
  }
  return plain("pending_evaluation", "all members are replaced");
}

function gateMessage(job: JobRecord, reason: WaitReason, until: number | null): string {
  const at = until === null ? "" : ` until ${new Date(until).toISOString()}`;
  switch (reason) {
    case "held":
      return job.input.held === "operator" ? "held by an operator" : "held by its user; release it to let it queue";
    case "invalid":
      return job.input.invalid ?? "";
    case "queue_paused":
      return `queue "${job.queue.id}" or one above it is paused`;
    case "dependency":
      return job.input.dependency === "never" ? "a job that it depends on ended in a way that can never satisfy it" : "waits for a job that it depends on";
    case "start_time":
      return `not to start${at}`;
    default:
      return `restart back-off${at}`;
  }
}

function judgeRole(state: State, job: JobRecord, variant: ResolvedVariant, role: ResolvedRole): Verdict {
  const partitions = state.placer.matching(variant, role).filter((partition) => partition.members.size > 0);
  if (partitions.length > 0) return closest(partitions.map((partition) => judgePartition(state, job, role, partition)));
  const accelerators = role.accelerators ?? variant.accelerators;
  const pools = role.pools ?? variant.pools;
  const asked = [...(accelerators === null ? [] : [`accelerator ${accelerators.join(" or ")}`]), ...(pools === null ? [] : [`pool ${pools.join(" or ")}`])];
  return plain("no_matching_pool", `no registered node has ${asked.join(" in ") || "any capacity"}`);
}
