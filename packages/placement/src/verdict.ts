import type { BlockFit, Filtered, WaitReason } from "./explanation.ts";
import type { Partition } from "./partition.ts";
import type { QueueNode, Usage } from "./quota.ts";
import type { ResolvedRole } from "./request.ts";
import type { State } from "./state.ts";

/** One reason with what speaks for it. */
export interface Verdict {
  reason: WaitReason;
  message: string;
  wouldFitIf: string[];
  blocks: BlockFit[];
  filtered: Filtered[];
}

/** Names that are shown of many. */
export const SAMPLE = 5;

export function plain(reason: WaitReason, message: string, wouldFitIf: string[] = []): Verdict {
  return { reason, message, wouldFitIf, blocks: [], filtered: [] };
}

/** The first few names of nodes. */
export function namesOf(state: State, slots: readonly number[]): string[] {
  return slots.slice(0, SAMPLE).map((slot) => state.placer.nodes.names.name(slot));
}

/** Null where the queue could use that much if nothing were in use. */
export function quotaExceeded(state: State, queue: QueueNode, usage: Usage): Verdict | null {
  const { quota } = state;
  const beyond = usage.find(({ dimension, amount }) => amount > quota.most(queue, dimension));
  if (beyond === undefined) return null;
  const { name, say } = unitsOf(state, beyond.dimension);
  const most = Math.max(0, quota.most(queue, beyond.dimension));
  return plain("exceeds_quota", `needs ${say(beyond.amount)} ${name}; queue "${queue.id}" can never use more than ${say(most)}`, [
    `the quota, borrowing limit or limit of queue "${queue.id}", or of one above it, is raised`,
  ]);
}

/** Null where that much is left for the queue. */
export function quotaExhausted(state: State, queue: QueueNode, usage: Usage): Verdict | null {
  const { quota } = state;
  const short = usage.find(({ dimension, amount }) => amount > quota.left(queue, dimension));
  if (short === undefined) return null;
  const { name, say } = unitsOf(state, short.dimension);
  const left = Math.max(0, quota.left(queue, short.dimension));
  return plain("quota_exhausted", `needs ${say(short.amount)} ${name}; ${say(left)} left for queue "${queue.id}"`, [
    `${say(short.amount - left)} ${name} of quota are returned`,
  ]);
}

function unitsOf(state: State, dimension: number): { name: string; say: (amount: number) => number } {
  const { resource, accelerator, pool } = state.quota.dimensions[dimension]!;
  const name = [accelerator, resource, pool === undefined ? undefined : `of pool ${pool}`].filter((part) => part !== undefined).join(" ");
  return { name, say: (amount) => (resource === "memory" ? amount : amount / 1000) };
}

/** Nodes that take no member of a role now, by what they lack. */
export function filteredNodes(state: State, partition: Partition, role: ResolvedRole, among: (slot: number) => boolean = () => true): Filtered[] {
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

export function describe(role: ResolvedRole): string {
  const { shape } = role;
  const parts: string[] = [];
  if (shape.devices > 0) parts.push(`${shape.devices} devices`);
  if (shape.share > 0) parts.push(`${shape.share / 1000} of a device`);
  if (shape.cpuMillis > 0) parts.push(`${shape.cpuMillis / 1000} cpus`);
  if (shape.memoryBytes > 0) parts.push(`${Math.ceil(shape.memoryBytes / 2 ** 30)} GiB`);
  return parts.join(", ") || "no resources";
}
