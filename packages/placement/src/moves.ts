import { freeDevices } from "./capacity.ts";
import { focusNodes } from "./focus.ts";
import { devicesOf, findHomes, type Relocation } from "./homes.ts";
import { lostWork, NOBODY, type JobRecord } from "./jobs.ts";
import { WHOLE, type NodeTable } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import type { Placement } from "./placement.ts";
import { atLeast, Search, type PreemptionPlan } from "./preempt.ts";
import { crossesZones } from "./preference.ts";
import { leadingRole } from "./request.ts";
import type { State } from "./state.ts";
import { couldTakeFromOwn, giveUp, goesFirst, mayGo, Source, sources, takeBack, wholeUnit, type Unit } from "./victims.ts";
import { leaseLasts } from "./windows.ts";

/** A start, and running jobs with the new homes that make room for it. */
export interface MovePlan {
  placement: Placement;
  moves: Relocation[];
}

/** Work that moving may lose, per device of the job that starts by it: what it would gain in this time. */
const WORTH_MS = 10 * 60_000;

/** Nodes that are looked at for clearing. */
const CLEARABLE = 256;

/**
 * Finds running jobs to move closer together so that a job can start, or null. Each has its new home before it is
 * stopped; none is more urgent than the job; and what they lose is less than what is gained. `except`: jobs that are going.
 */
export function planMoves(state: State, job: JobRecord, except: ReadonlySet<JobRecord> = NOBODY): { plan: MovePlan | null; searched: boolean } {
  const { placer, quota } = state;
  let searched = false;
  for (const variant of job.request.variants) {
    const needed = variant.roles.reduce((sum, { min, shape }) => sum + min * shape.devices, 0);
    if (needed === 0) continue;
    for (const lead of placer.matching(variant, leadingRole(variant))) {
      const charges = placer.chargesFor(variant, lead);
      if (charges === null) continue;
      const choices = variant.roles.map((role) => placer.choices(variant, role, lead));
      const partitions = [...new Set(choices.flat())];
      const usage = quota.usageOf(charges);
      if (!quota.allows(job.queue, usage) || !leaseLasts(state, job, lead) || roomIn(state, partitions, needed) < needed) continue;
      searched = true;
      const mayMove = (other: JobRecord): boolean =>
        other.state === "running" && !except.has(other) && other.input.priority <= job.input.priority && mayGo(state, other, partitions);
      const source = Source.own(job.queue, "consolidation", () => {
        const there = new Set(partitions.flatMap((partition) => emptiestNodes(state, partition)).flatMap((slot) => state.holding.on(slot)));
        const units: Unit[] = [];
        for (const other of there) if (mayMove(other)) units.push(wholeUnit(state, other));
        return units.sort(goesFirst);
      });
      const least = atLeast(crossesZones(state, job.request), variant);
      const focus = variant.roles.length > 1 ? null : focusNodes(state, job, least, lead, [source]);
      if (focus === null && variant.roles.length === 1) continue;
      const plan = new Search(state, job, least, choices, usage).run([focus === null ? source : source.narrow(focus)]);
      if (plan === null || plan.units.length === 0) continue;
      const leaving = plan.units.map((unit) => unit.job);
      if (!isWorth(state, leaving, needed)) continue;
      const moves = findHomes(state, partitions, job, plan.placement, leaving, mayMove);
      if (
        moves === null ||
        !isWorth(
          state,
          moves.map((move) => move.job),
          needed,
        )
      )
        continue;
      return { plan: { placement: plan.placement, moves }, searched };
    }
  }
  return { plan: null, searched };
}

/** What moves loses less than is gained, and is no more than what starts by it. */
function isWorth(state: State, moved: readonly JobRecord[], needed: number): boolean {
  const lost = moved.reduce((sum, job) => sum + lostWork(job, state.now), 0);
  return lost <= needed * WORTH_MS && moved.reduce((sum, job) => sum + devicesOf(job), 0) <= needed;
}

/** Free devices, and where whole ones are not enough what is left of shared ones. */
function roomIn(state: State, partitions: readonly Partition[], needed: number): number {
  const { nodes, shared } = state.placer;
  let room = partitions.reduce((sum, partition) => sum + freeDevices(state, partition), 0);
  for (const { index, nodeAt } of room < needed ? partitions : []) {
    if (!shared[index]!.inUse) continue;
    for (const slot of nodeAt) if (nodes.schedulable[slot] === 1) room += partsLeft(nodes, slot);
  }
  return room;
}

/** What is left of the devices of a node that are shared. */
function partsLeft(nodes: NodeTable, slot: number): number {
  const start = nodes.deviceStart[slot]!;
  let left = 0;
  for (let d = start; d < start + nodes.deviceCount[slot]!; d++) if (nodes.held[d]! > 0) left += Math.max(0, WHOLE - nodes.held[d]!);
  return left / WHOLE;
}

/** Nodes that are partly free, the emptiest ones: the others are not worth clearing. */
function emptiestNodes(state: State, partition: Partition): number[] {
  const { nodes, shared } = state.placer;
  const byFree: number[][] = [];
  for (const slot of partition.nodeAt) {
    const parts = shared[partition.index]!.inUse ? Math.ceil(partsLeft(nodes, slot)) : 0;
    const free = nodes.freeDevices[slot]! + parts;
    if (nodes.schedulable[slot] === 1 && free > 0) (byFree[free] ??= []).push(slot);
  }
  return byFree.reverse().flat().slice(0, CLEARABLE);
}

/** Work that stops, and jobs that change places, so that a job can start. */
export interface StopPlan {
  stops: Unit[];
  moves: MovePlan;
}

/**
 * In a queue that goes by service: only as much is stopped as there are too few devices, and what is left moves closer
 * together. Null where stopping alone (`plan`) stops no more than that.
 */
export function planStopsAndMoves(state: State, job: JobRecord, plan: PreemptionPlan | null): StopPlan | null {
  const { placer, quota } = state;
  const variant = job.request.variants[0]!;
  const role = variant.roles[0]!;
  if (variant.roles.length > 1 || role.shape.devices === 0 || plan?.units.some((unit) => unit.job.queue !== job.queue)) return null;
  if (!couldTakeFromOwn(state, job)) return null;
  const most = plan === null ? Infinity : plan.units.reduce((sum, unit) => sum + devicesIn(unit), 0);
  for (const partition of placer.matching(variant, role)) {
    const usage = quota.usageOf([{ partition, shape: role.shape, members: role.min }]);
    const own = sources(state, job, usage, [partition]).find((source) => source.own);
    let missing = role.min * role.shape.devices - freeDevices(state, partition);
    if (own === undefined || missing <= 0) continue;
    const stops: Unit[] = [];
    for (const unit of own.units) {
      if (missing <= 0) break;
      stops.push(unit);
      missing -= devicesIn(unit);
    }
    if (missing > 0 || stops.some((unit) => unit.surplus) || stops.reduce((sum, unit) => sum + devicesIn(unit), 0) >= most) continue;
    const { freed, version } = quota;
    for (const unit of stops) giveUp(state, unit);
    const { plan: moves } = planMoves(state, job, new Set(stops.map((unit) => unit.job)));
    for (const unit of stops) takeBack(state, unit);
    quota.freed = freed;
    quota.version = version;
    if (moves !== null) return { stops, moves };
  }
  return null;
}

function devicesIn(unit: Unit): number {
  return unit.holdings.reduce((sum, { devices }) => sum + devices.length, 0);
}
