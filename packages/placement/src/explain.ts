import { fitsIfReturned, largestGangs, poolsFree } from "./capacity.ts";
import { devicesEach, type ShapeCounts } from "./counts.ts";
import { estimateOf, type WorkAhead } from "./estimates.ts";
import type { BlockFit, Explanation, Filtered, Need, WaitReason } from "./explanation.ts";
import { chooseBlock, placeGang, roomFor, type Layer } from "./gang.ts";
import { gateOf, type JobRecord } from "./jobs.ts";
import { durations } from "./learned.ts";
import type { Partition } from "./partition.ts";
import { isFastEnough } from "./preference.ts";
import { boundOf, withGaps } from "./recover.ts";
import type { ResolvedRole, ResolvedVariant } from "./request.ts";
import type { State } from "./state.ts";
import { before } from "./waiting.ts";
import { leaseLasts, windowsAgainst } from "./windows.ts";

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

interface Verdict {
  reason: WaitReason;
  message: string;
  wouldFitIf: string[];
  blocks: BlockFit[];
  filtered: Filtered[];
}

/** Reasons that no amount of waiting removes. */
const NEVER: ReadonlySet<WaitReason> = new Set(["no_matching_pool", "exceeds_quota", "exceeds_topology", "invalid"]);

interface Ahead extends WorkAhead {
  top: readonly string[];
}

const NOBODY: Ahead = { jobs: 0, devices: 0, work: { likely: 0, longest: 0 }, top: [] };
const SAMPLE = 5;
const BLOCKS_SHOWN = 16;

/** The dominant reason for which a job waits, judged on the state as it is now. */
export function reasonFor(state: State, job: JobRecord): WaitReason {
  return judged(state, job).reason;
}

function judged(state: State, job: JobRecord): Verdict {
  state.settle();
  const verdict = judge(state, job);
  if (state.jobs.get(job.input.id) === job) {
    const since = job.entry?.lane.blockedSince ?? state.now;
    if (job.reason !== verdict.reason) {
      job.reasonSince = job.reason === "pending_evaluation" ? Math.max(job.reasonSince, since) : state.now;
      job.reason = verdict.reason;
    }
  }
  return verdict;
}

/** Why a job waits, with the numbers that it was judged on. */
export function explainJob(state: State, job: JobRecord): Explanation {
  const verdict = judged(state, job);
  const { request } = job;
  const partitions = state.placer.partitionsFor(request);
  const lead = request.variants[0]!.roles[0]!;
  const ahead = NEVER.has(verdict.reason) ? NOBODY : aheadOf(state, job, partitions);
  return {
    job: job.input.id,
    reason: verdict.reason,
    message: verdict.message,
    since: job.reasonSince,
    evaluatedAt: state.now,
    need: needOf(state, job),
    free: poolsFree(state, lead.shape, partitions),
    largestGangs: partitions.flatMap((partition) => largestGangs(state, partition, lead.shape, lead.layers)),
    filtered: verdict.filtered,
    blocks: verdict.blocks,
    ahead: { jobs: ahead.jobs, devices: ahead.devices, top: ahead.top },
    wouldFitIf: verdict.wouldFitIf,
    estimate: estimateOf(state, job, verdict.reason, ahead),
  };
}

function needOf(state: State, job: JobRecord): Need {
  const { roles } = job.request.variants[0]!;
  const shapes = roles.map((role) => role.shape);
  const most = (pick: (shape: (typeof shapes)[number]) => number): number => Math.max(...shapes.map(pick));
  return {
    members: roles.reduce((sum, role) => sum + role.min, 0),
    devices: roles.reduce((sum, role) => sum + role.min * (role.shape.devices + role.shape.share / 1000), 0),
    perNode: {
      accelerators: most((s) => s.devices),
      share: most((s) => s.share),
      cpuMillis: most((s) => s.cpuMillis),
      memoryBytes: most((s) => s.memoryBytes),
    },
    segments: roles.flatMap((role) =>
      role.layers.map((layer) => ({
        nodes: layer.size,
        within: state.levels.name(layer.level),
        mode: layer.required ? ("required" as const) : ("preferred" as const),
      })),
    ),
    ...(job.input.within === undefined ? {} : { within: job.input.within }),
  };
}

function plain(reason: WaitReason, message: string, wouldFitIf: string[] = []): Verdict {
  return { reason, message, wouldFitIf, blocks: [], filtered: [] };
}

function judge(state: State, job: JobRecord): Verdict {
  const gate = gateOf(job, state.now);
  if (gate !== null) return plain(gate.reason, gateMessage(job, gate.reason, gate.until));
  if (job.state === "reserved" || job.state === "stopping") {
    return plain("waiting_for_preemption", "evicted jobs are still stopping; their places are kept for it");
  }
  if (job.state === "recovering") return judgeRecovering(state, job);
  let best: Verdict | null = null;
  for (const variant of job.request.variants) {
    for (const role of variant.roles) {
      const verdict = judgeRole(state, job, variant, role);
      // Of several roles the worst decides, of several variants the best.
      if (best === null || STAGES.indexOf(verdict.reason) > STAGES.indexOf(best.reason)) best = verdict;
      if (variant.roles.length > 1 && verdict.reason !== "behind_higher_priority") {
        best = verdict;
        break;
      }
    }
  }
  return best!;
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
  let best: Verdict | null = null;
  for (const partition of state.placer.matching(variant, role)) {
    if (partition.members.size === 0) continue;
    const verdict = judgePartition(state, job, role, partition);
    if (best === null || STAGES.indexOf(verdict.reason) > STAGES.indexOf(best.reason)) best = verdict;
  }
  if (best !== null) return best;
  const accelerators = role.accelerators ?? variant.accelerators;
  const pools = role.pools ?? variant.pools;
  const asked = [...(accelerators === null ? [] : [`accelerator ${accelerators.join(" or ")}`]), ...(pools === null ? [] : [`pool ${pools.join(" or ")}`])];
  return plain("no_matching_pool", `no registered node has ${asked.join(" in ") || "any capacity"}`);
}

function judgePartition(state: State, job: JobRecord, role: ResolvedRole, partition: Partition): Verdict {
  const { placer, quota } = state;
  const { shape, min } = role;
  const where = `pool ${partition.pool} (${partition.accelerator})`;
  const ideal = placer.counts(partition, shape, true);
  if (ideal.total === 0) {
    return plain("no_matching_pool", `no node of ${where} could ever take ${describe(role)}`);
  }
  const usage = quota.usageOf([{ partition, shape, members: min }]);
  const beyond = usage.find((u) => !quota.couldEverAllow(job.queue, [u]));
  if (beyond !== undefined) {
    const name = dimensionName(state, beyond.dimension);
    return plain("exceeds_quota", `needs ${amount(state, beyond)} ${name}; queue "${job.queue.id}" can never use that much`, [
      `the quota or borrowing limit of queue "${job.queue.id}" is raised`,
    ]);
  }
  const within = job.request.withinRequired ? job.request.within : state.levels.root;
  const required = role.layers.filter((layer) => layer.required);
  if (placeGang(ideal, placer.nodes, { members: min, layers: required, within }) === null) {
    if (ideal.total < min) {
      return plain("exceeds_topology", `needs ${min} nodes with ${describe(role)}; ${where} has ${ideal.total} even when empty`);
    }
    const { blocks, message } = fragmented(state, role, partition, ideal, required, within, `${where}, even when empty,`);
    return { ...plain("exceeds_topology", message), blocks };
  }
  const short = usage.find((u) => !quota.allows(job.queue, [u]));
  if (short !== undefined) {
    const left = Math.max(0, quota.available(job.queue, short.dimension));
    const name = dimensionName(state, short.dimension);
    return plain("quota_exhausted", `needs ${amount(state, short)} ${name}; ${amount(state, { ...short, amount: left })} left for queue "${job.queue.id}"`, [
      `${amount(state, { ...short, amount: short.amount - left })} ${name} of quota are returned`,
    ]);
  }
  const left = placer.power.devicesLeft(partition.pool);
  const busy = min * devicesEach(shape);
  if (left < busy) {
    const idle = Array.from(partition.nodeAt).filter((slot) => placer.nodes.schedulable[slot] === 1 && placer.nodes.freeDevices[slot]! > 0);
    const why = `power budget of pool ${partition.pool}`;
    return {
      reason: "insufficient_capacity",
      message: `needs ${busy} devices in use; the ${why} leaves ${left} more`,
      wouldFitIf: [`${busy - left} devices in use in pool ${partition.pool} become free, or its power budget is raised`],
      blocks: [],
      filtered: [{ why, nodes: idle.length, sampleNodes: idle.slice(0, SAMPLE).map((slot) => placer.nodes.names.name(slot)) }],
    };
  }
  const counts = placer.counts(partition, shape);
  if (counts.total < min) {
    const returned = fitsIfReturned(state, partition, shape);
    const filtered = filteredNodes(state, partition, role);
    if (counts.total + returned.members >= min) {
      const names = returned.nodes
        .slice(0, SAMPLE)
        .map((slot) => placer.nodes.names.name(slot))
        .join(", ");
      return {
        reason: "nodes_unhealthy",
        message: `needs ${min} nodes with ${describe(role)}; ${counts.total} fit now in ${where} and ${returned.members} more on nodes that are out of service`,
        wouldFitIf: [`${min - counts.total} of the nodes out of service return (${names})`],
        blocks: [],
        filtered,
      };
    }
    return {
      reason: "insufficient_capacity",
      message: `needs ${min} nodes with ${describe(role)}; ${counts.total} fit now in ${where}`,
      wouldFitIf: [`${min - counts.total} more nodes with ${describe(role)} become free in ${where}`],
      blocks: [],
      filtered,
    };
  }
  const room = roomFor(counts, required);
  if (chooseBlock(counts, placer.nodes, room, min, within) === null) return fragmented(state, role, partition, counts, required, within, where);
  const leftOut = job.request.excludedNodes.map((id) => placer.nodes.names.find(id)).filter((slot) => partition.members.has(slot));
  const fitsWithout = (closed: Iterable<number>): boolean => {
    counts.block(placer.nodes, new Set([...leftOut, ...closed]));
    const placed = placeGang(counts, placer.nodes, { members: min, layers: required, within });
    counts.unblock();
    return placed !== null;
  };
  if (leftOut.length > 0 && !fitsWithout([])) {
    const names = leftOut.slice(0, SAMPLE).map((slot) => placer.nodes.names.name(slot));
    return {
      reason: "insufficient_capacity",
      message: `needs ${min} nodes with ${describe(role)}; it would fit in ${where} now, but not without the ${leftOut.length} nodes that it leaves out`,
      wouldFitIf: [`nodes that it leaves out are in order again (${names.join(", ")})`, `others become free in ${where}`],
      blocks: [],
      filtered: [{ why: "left out: it broke there, or they are held back as spares", nodes: leftOut.length, sampleNodes: names }],
    };
  }
  const until = timeLeft(state, job, role, partition, where, fitsWithout);
  if (until !== null) return until;
  return plain("behind_higher_priority", `it would fit in ${where} now, but jobs ahead of it go first`);
}

/** Room is there, but not for as long as the job may run (a lease ends, or a window begins), or too slow a device. */
function timeLeft(
  state: State,
  job: JobRecord,
  role: ResolvedRole,
  partition: Partition,
  where: string,
  fitsWithout: (closed: Iterable<number>) => boolean,
): Verdict | null {
  const { names } = state.placer.nodes;
  const short = (what: string, at: number, others: string[], nodes: readonly number[]): Verdict => ({
    reason: "insufficient_capacity",
    message: `needs ${role.min} nodes for as long as it may run; ${what}, before it could end or checkpoint`,
    wouldFitIf: [`it is preemptible and writes checkpoints, or its time limit is at most ${Math.max(0, Math.floor((at - state.now) / 1000))} s`, ...others],
    blocks: [],
    filtered: [{ why: what, nodes: nodes.length, sampleNodes: nodes.slice(0, SAMPLE).map((slot) => names.name(slot)) }],
  });
  if (!leaseLasts(state, job, partition)) {
    const end = state.placer.pools.get(partition.pool)!.leaseEnd!;
    return short(`the lease of ${where} ends at ${new Date(end).toISOString()}`, end, ["the lease is prolonged"], Array.from(partition.nodeAt));
  }
  if (!isFastEnough(state, job, partition)) {
    return {
      reason: "insufficient_capacity",
      message: `would fit in ${where} now, but much slower than elsewhere; it goes by speed, and waits for a faster device`,
      wouldFitIf: ["a faster device becomes free", "its variant policy is `ordered`"],
      blocks: [],
      filtered: [],
    };
  }
  const windows = windowsAgainst(state, job);
  const closed = new Set(windows.flatMap((window) => window.nodes.map((id) => names.find(id)).filter((slot) => partition.members.has(slot))));
  if (closed.size === 0 || fitsWithout(closed)) return null;
  const first = windows.reduce((a, b) => (b.start < a.start ? b : a));
  const over = new Date(Math.max(...windows.map((window) => window.end))).toISOString();
  const since = first.start <= state.now ? "has begun" : `begins at ${new Date(first.start).toISOString()}`;
  return short(`window "${first.id}" on ${closed.size} nodes ${since}`, first.start, [`the window is taken back, or over (${over})`], [...closed]);
}

/** Room is there, but not in one place. */
function fragmented(
  state: State,
  role: ResolvedRole,
  partition: Partition,
  counts: ShapeCounts,
  required: readonly Layer[],
  within: number,
  where: string,
): Verdict {
  const root = partition.levels.length - 1;
  const jobBound = within < root;
  const layer = required.at(-1);
  const level = jobBound ? within : layer!.level;
  const needed = jobBound ? role.min : layer!.size;
  const room = roomFor(counts, jobBound ? required.filter((l) => l.level <= within) : required.slice(0, -1));
  const { nodeStart, path, count } = partition.levels[level]!;
  const fits: BlockFit[] = [];
  const wouldFitIf: string[] = [];
  for (let block = 0; block < count; block++) {
    const have = room.caps[level]![block]! * room.unit[level]!;
    fits.push({ block: path[block]!, level: state.levels.name(level), fits: have, needed });
    const returned = fitsIfReturned(state, partition, role.shape, nodeStart[block], nodeStart[block + 1]);
    if (have < needed && have + returned.members >= needed && wouldFitIf.length < SAMPLE) {
      wouldFitIf.push(`${needed - have} nodes of ${state.levels.name(level)} ${path[block]!} return`);
    }
  }
  fits.sort((a, b) => b.fits - a.fits);
  const name = state.levels.name(level);
  const best = fits[0]!;
  const message = jobBound
    ? `needs ${needed} nodes in one ${name}; the best, ${best.block}, has ${best.fits} (${counts.total} fit in ${where} in all)`
    : `needs ${role.min / needed} groups of ${needed} nodes, each in one ${name}; ` +
      `${fits.reduce((sum, fit) => sum + Math.floor(fit.fits / needed), 0)} such groups fit (${counts.total} nodes fit in ${where} in all)`;
  wouldFitIf.push(`${needed - (best.fits % needed)} more nodes become free in ${name} ${best.block}`);
  return { reason: "topology_fragmented", message, wouldFitIf, blocks: fits.slice(0, BLOCKS_SHOWN), filtered: filteredNodes(state, partition, role) };
}

function filteredNodes(state: State, partition: Partition, role: ResolvedRole, among: (slot: number) => boolean = () => true): Filtered[] {
  const { nodes } = state.placer;
  const { shape } = role;
  const groups = new Map<string, { nodes: number; sample: string[] }>();
  for (const slot of partition.nodeAt) {
    if (!among(slot)) continue;
    let why = "";
    if (nodes.schedulable[slot] === 0) why = `out of service: ${nodes.health[slot] || "not schedulable"}`;
    else if (nodes.freeDevices[slot]! < shape.devices) why = `fewer than ${shape.devices} free devices`;
    else if (nodes.cpuFree[slot]! < shape.cpuMillis) why = "too few free cpus";
    else if (nodes.memoryFree[slot]! < shape.memoryBytes) why = "too little free memory";
    else if (shape.share > 0 && nodes.chooseShare(slot, shape.share) < 0) why = `no device with ${shape.share}/1000 free`;
    if (why === "") continue;
    const group = groups.get(why) ?? { nodes: 0, sample: [] };
    group.nodes++;
    if (group.sample.length < SAMPLE) group.sample.push(nodes.names.name(slot));
    groups.set(why, group);
  }
  return [...groups].map(([why, group]) => ({ why, nodes: group.nodes, sampleNodes: group.sample })).sort((a, b) => b.nodes - a.nodes);
}

/** Jobs that want some of the same hardware and come first: in its queue, and elsewhere by priority. */
function aheadOf(state: State, job: JobRecord, partitions: readonly Partition[]): Ahead {
  const wanted = new Set(partitions);
  const top: JobRecord[] = [];
  let jobs = 0;
  let devices = 0;
  const work = { likely: 0, longest: 0 };
  for (const lanes of state.lanes.values()) {
    for (const lane of lanes.values()) {
      if (!state.placer.partitionsFor(lane.request).some((partition) => wanted.has(partition))) continue;
      const { roles } = lane.request.variants[0]!;
      const each = roles.reduce((sum, role) => sum + role.min * (role.shape.devices + role.shape.share / 1000), 0);
      const { jobs: count, first } = lane.before(job, SAMPLE);
      if (count === 0) continue;
      jobs += count;
      let [likely, longest] = [0, 0];
      for (const other of first) {
        if (top.length === SAMPLE && !before(other, top[SAMPLE - 1]!)) continue;
        top.push(other);
        top.sort((a, b) => (before(a, b) ? -1 : 1));
        top.length = Math.min(top.length, SAMPLE);
      }
      // Jobs of one lane ask alike, up to a factor of two in time: a few stand for all.
      for (const other of first) {
        const known = durations(other, state.learned);
        likely += known.likely / first.length;
        longest += known.longest / first.length;
      }
      const taken = each * count;
      devices += taken;
      if (taken === 0) continue;
      work.likely += taken * likely;
      work.longest += taken * longest;
    }
  }
  return { jobs, devices, work, top: top.map((other) => other.input.id) };
}

function describe(role: ResolvedRole): string {
  const { shape } = role;
  const parts: string[] = [];
  if (shape.devices > 0) parts.push(`${shape.devices} devices`);
  if (shape.share > 0) parts.push(`${shape.share / 1000} of a device`);
  if (shape.cpuMillis > 0) parts.push(`${shape.cpuMillis / 1000} cpus`);
  if (shape.memoryBytes > 0) parts.push(`${Math.ceil(shape.memoryBytes / 2 ** 30)} GiB`);
  return parts.join(", ") || "no resources";
}

function dimensionName(state: State, index: number): string {
  const { resource, accelerator, pool } = state.quota.dimensions[index]!;
  return [accelerator, resource, pool === undefined ? undefined : `of pool ${pool}`].filter((part) => part !== undefined).join(" ");
}

function amount(state: State, { dimension, amount: value }: { dimension: number; amount: number }): number {
  return state.quota.dimensions[dimension]!.resource === "memory" ? value : value / 1000;
}
