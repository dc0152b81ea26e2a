import { devicesEach, type ShapeCounts } from "./counts.ts";
import type { BlockFit } from "./explanation.ts";
import { chooseBlock, placeGang, roomFor, type Block, type Layer } from "./gang.ts";
import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { crossesZones, isFastEnough } from "./preference.ts";
import type { ResolvedRole } from "./request.ts";
import type { State } from "./state.ts";
import { describe, filteredNodes, namesOf, plain, quotaExceeded, quotaExhausted, type Verdict } from "./verdict.ts";
import { leaseLasts, windowsAgainst } from "./windows.ts";

const BLOCKS_SHOWN = 16;
/** Blocks of which it is said that the return of their nodes would do. */
const HINTS = 4;

/** One role of a job, and one partition that it might run in. */
interface Ask {
  state: State;
  job: JobRecord;
  role: ResolvedRole;
  partition: Partition;
  where: string;
  /** What is required of the fabric; what is preferred keeps nobody waiting. */
  required: readonly Layer[];
  within: number;
}

/** What keeps a role from starting in a partition, looked at from what is furthest from running to what is closest. */
export function judgePartition(state: State, job: JobRecord, role: ResolvedRole, partition: Partition): Verdict {
  // Where no job may span zones, none ever will.
  const request = crossesZones(state, job.request, 0);
  const ask: Ask = {
    state,
    job,
    role,
    partition,
    where: `pool ${partition.pool} (${partition.accelerator})`,
    required: role.layers.filter((layer) => layer.required),
    within: request.withinRequired ? request.within : state.levels.root,
  };
  return (
    beyondHardware(ask) ??
    beyondQuota(ask) ??
    beyondPower(ask) ??
    beyondFabric(ask) ??
    withoutQuota(ask) ??
    withoutPower(ask) ??
    withoutRoom(ask) ??
    withoutItsNodes(ask) ??
    withoutTime(ask) ??
    plain("behind_higher_priority", `it would fit in ${ask.where} now, but jobs ahead of it go first`)
  );
}

function beyondHardware({ state, role, partition, where }: Ask): Verdict | null {
  if (state.placer.counts(partition, role.shape, true).total > 0) return null;
  return plain("no_matching_pool", `no node of ${where} could ever take ${describe(role)}`);
}

function beyondQuota({ state, job, role, partition }: Ask): Verdict | null {
  return quotaExceeded(state, job.queue, state.quota.usageOf([{ partition, shape: role.shape, members: role.min }]));
}

function beyondPower({ state, role, partition: { pool } }: Ask): Verdict | null {
  const most = state.placer.power.most(pool);
  const busy = role.min * devicesEach(role.shape);
  if (busy <= most) return null;
  return plain("exceeds_quota", `needs ${busy} devices in use; the power budget of pool ${pool} never allows more than ${most}`, [
    `the power budget of pool ${pool} is raised`,
  ]);
}

function beyondFabric(ask: Ask): Verdict | null {
  const { state, role, partition, where } = ask;
  const ideal = state.placer.counts(partition, role.shape, true);
  if (placed(ask, ideal) !== null) return null;
  if (ideal.total < role.min) {
    return plain("exceeds_topology", `needs ${role.min} nodes with ${describe(role)}; ${where} has ${ideal.total} even when empty`);
  }
  const { blocks, message } = fragmented(ask, ideal, `${where}, even when empty,`);
  return { ...plain("exceeds_topology", message), blocks };
}

function withoutQuota({ state, job, role, partition }: Ask): Verdict | null {
  return quotaExhausted(state, job.queue, state.quota.usageOf([{ partition, shape: role.shape, members: role.min }]));
}

function withoutPower({ state, role, partition }: Ask): Verdict | null {
  const { nodes, power } = state.placer;
  const left = power.devicesLeft(partition.pool);
  const busy = role.min * devicesEach(role.shape);
  if (left >= busy) return null;
  const idle = Array.from(partition.nodeAt).filter((slot) => nodes.schedulable[slot] === 1 && nodes.freeDevices[slot]! > 0);
  const why = `power budget of pool ${partition.pool}`;
  return {
    ...plain("insufficient_capacity", `needs ${busy} devices in use; the ${why} leaves ${left} more`, [
      `${busy - left} devices in use in pool ${partition.pool} become free, or its power budget is raised`,
    ]),
    filtered: [{ why, nodes: idle.length, sampleNodes: namesOf(state, idle) }],
  };
}

function withoutRoom(ask: Ask): Verdict | null {
  const { state, role, partition, where, required, within } = ask;
  const { nodes } = state.placer;
  const counts = state.placer.counts(partition, role.shape);
  const { min } = role;
  if (counts.total >= min) {
    if (chooseBlock(counts, nodes, roomFor(counts, required), min, within) !== null) return null;
    return { ...fragmented(ask, counts, where), filtered: filteredNodes(state, partition, role) };
  }
  const filtered = filteredNodes(state, partition, role);
  const asked = `needs ${min} nodes with ${describe(role)}; ${counts.total} fit now in ${where}`;
  const returning = returningFor(ask, counts);
  if (returning === null)
    return { ...plain("insufficient_capacity", asked, [`${min - counts.total} more nodes with ${describe(role)} become free in ${where}`]), filtered };
  return {
    ...plain("nodes_unhealthy", `${asked}, and all with ${returning.length} nodes that are out of service`, [
      `${returning.length} of the nodes out of service return (${namesOf(state, returning).join(", ")})`,
    ]),
    filtered,
  };
}

function withoutItsNodes(ask: Ask): Verdict | null {
  const { state, role, where } = ask;
  const leftOut = leftOutOf(ask);
  if (leftOut.length === 0 || fitsWithout(ask, [])) return null;
  const names = namesOf(state, leftOut);
  const message = `needs ${role.min} nodes with ${describe(role)}; it would fit in ${where} now, but not without the ${leftOut.length} nodes that it leaves out`;
  return {
    ...plain("insufficient_capacity", message, [`nodes that it leaves out are in order again (${names.join(", ")})`, `others become free in ${where}`]),
    filtered: [{ why: "left out: it broke there, or they are held back as spares", nodes: leftOut.length, sampleNodes: names }],
  };
}

/** Room is there, but not for as long as the job may run (a lease ends, or a window begins), or too slow a device. */
function withoutTime(ask: Ask): Verdict | null {
  const { state, job, role, partition, where } = ask;
  const { names } = state.placer.nodes;
  const short = (what: string, at: number, others: string[], nodes: readonly number[]): Verdict => ({
    ...plain("insufficient_capacity", `needs ${role.min} nodes for as long as it may run; ${what}, before it could end or checkpoint`, [
      `it is preemptible and writes checkpoints, or its time limit is at most ${Math.max(0, Math.floor((at - state.now) / 1000))} s`,
      ...others,
    ]),
    filtered: [{ why: what, nodes: nodes.length, sampleNodes: namesOf(state, nodes) }],
  });
  if (!leaseLasts(state, job, partition)) {
    const end = state.placer.pools.get(partition.pool)!.leaseEnd!;
    return short(`the lease of ${where} ends at ${new Date(end).toISOString()}`, end, ["the lease is prolonged"], Array.from(partition.nodeAt));
  }
  if (!isFastEnough(state, job, partition)) {
    return plain("insufficient_capacity", `would fit in ${where} now, but much slower than elsewhere; it goes by speed, and waits for a faster device`, [
      "a faster device becomes free",
      "its variant policy is `ordered`",
    ]);
  }
  const windows = windowsAgainst(state, job);
  const closed = new Set(windows.flatMap((window) => window.nodes.map((id) => names.find(id)).filter((slot) => partition.members.has(slot))));
  if (closed.size === 0 || fitsWithout(ask, closed)) return null;
  const first = windows.reduce((a, b) => (b.start < a.start ? b : a));
  const over = new Date(Math.max(...windows.map((window) => window.end))).toISOString();
  const since = first.start <= state.now ? "has begun" : `begins at ${new Date(first.start).toISOString()}`;
  return short(`window "${first.id}" on ${closed.size} nodes ${since}`, first.start, [`the window is taken back, or over (${over})`], [...closed]);
}

/** Room is there, but not in one place. */
function fragmented(ask: Ask, counts: ShapeCounts, where: string): Verdict {
  const { state, role, partition, required, within } = ask;
  const layer = required.at(-1);
  const bound = within < state.levels.root;
  const level = bound ? within : layer!.level;
  const needed = bound ? role.min : layer!.size;
  const room = roomFor(counts, bound ? required.filter((l) => l.level <= within) : required.slice(0, -1));
  const { path } = partition.levels[level]!;
  const name = state.levels.name(level);
  const fits = Array.from(path, (block, at) => ({
    at,
    fit: { block, level: name, fits: room.caps[level]![at]! * room.unit[level]!, needed } satisfies BlockFit,
  }));
  fits.sort((a, b) => b.fit.fits - a.fit.fits);
  const blocks = fits.slice(0, BLOCKS_SHOWN).map(({ fit }) => fit);
  if (bound) {
    const best = blocks[0]!;
    const message = `needs ${needed} nodes in one ${name}; the best, ${best.block}, has ${best.fits} (${counts.total} fit in ${where} in all)`;
    const hints = fits.slice(0, BLOCKS_SHOWN).flatMap(({ at, fit: { block } }) => {
      const returning = returningFor(ask, counts, { level, block: at });
      return returning === null ? [] : [`${returning.length} nodes of ${name} ${block} return`];
    });
    return {
      ...plain("topology_fragmented", message, [...hints.slice(0, HINTS), `${needed - best.fits} more nodes become free in ${name} ${best.block}`]),
      blocks,
    };
  }
  const groups = role.min / needed;
  const there = fits.reduce((sum, { fit }) => sum + Math.floor(fit.fits / needed), 0);
  const message = `needs ${groups} groups of ${needed} nodes, each in one ${name}; ${there} such groups fit (${counts.total} nodes fit in ${where} in all)`;
  const returning = returningFor(ask, counts);
  const nearest = fits.map(({ fit }) => fit).reduce((a, b) => (b.fits % needed > a.fits % needed ? b : a));
  return {
    ...plain("topology_fragmented", message, [
      ...(returning === null ? [] : [`${returning.length} of the nodes out of service return (${namesOf(state, returning).join(", ")})`]),
      groups - there === 1
        ? `${needed - (nearest.fits % needed)} more nodes become free in ${name} ${nearest.block}`
        : `room for ${groups - there} more such groups becomes free`,
    ]),
    blocks,
  };
}

function placed({ state, role, required, within }: Ask, counts: ShapeCounts, inside?: Block): number[] | null {
  const gang = { members: role.min, layers: required, within };
  return placeGang(counts, state.placer.nodes, inside === undefined ? gang : { ...gang, inside });
}

/** Nodes out of service with which all members would find room; null where that is not enough. */
function returningFor(ask: Ask, counts: ShapeCounts, inside?: Block): number[] | null {
  const { nodes } = ask.state.placer;
  const away = Array.from(ask.partition.nodeAt).filter((slot) => nodes.schedulable[slot] === 0);
  if (away.length === 0 || counts.ideal) return null;
  counts.unbar(nodes, away);
  counts.block(nodes, leftOutOf(ask));
  const slots = placed(ask, counts, inside);
  counts.unblock();
  return slots && [...new Set(slots)].filter((slot) => nodes.schedulable[slot] === 0);
}

function leftOutOf({ state, job, partition }: Ask): number[] {
  return job.request.excludedNodes.map((id) => state.placer.nodes.names.find(id)).filter((slot) => partition.members.has(slot));
}

/** Whether it fits without these nodes and those that it leaves out. */
function fitsWithout(ask: Ask, closed: Iterable<number>): boolean {
  const { placer } = ask.state;
  const counts = placer.counts(ask.partition, ask.role.shape);
  counts.block(placer.nodes, new Set([...leftOutOf(ask), ...closed]));
  const slots = placed(ask, counts);
  counts.unblock();
  return slots !== null;
}
