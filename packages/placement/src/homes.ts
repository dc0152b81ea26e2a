import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import type { Charge, Placement } from "./placement.ts";
import { chargesOf } from "./places.ts";
import type { Usage } from "./quota.ts";
import type { State } from "./state.ts";
import { bounds } from "./windows.ts";

export interface Relocation {
  job: JobRecord;
  home: Placement;
}

/** Nodes tried for making room, for one job. */
const TRIES = 32;

/**
 * New homes for jobs that leave theirs, the largest first, within what their queues may use once `job` has its place. Where none is
 * free, small neighbours change places so that scattered free devices come together. All of it is tried and taken back.
 */
export function findHomes(
  state: State,
  partitions: readonly Partition[],
  job: JobRecord,
  placement: Placement,
  leaving: readonly JobRecord[],
  mayMove: (job: JobRecord) => boolean,
): Relocation[] | null {
  const { placer, quota } = state;
  const { freed, version } = quota;
  const search = new HomeSearch(state, partitions, mayMove);
  for (const other of leaving) search.leave(other);
  const usage = quota.usageOf(chargesOf(placement));
  placer.take(placement);
  quota.charge(job.queue, usage);
  const found = [...leaving].sort((a, b) => devicesOf(b) - devicesOf(a)).every((other) => search.house(other));
  search.undo(search.moves);
  placer.untake(placement);
  quota.refund(job.queue, usage);
  for (const other of search.left) search.comeBack(other);
  quota.freed = freed;
  quota.version = version;
  return found ? search.moves : null;
}

export function devicesOf(job: JobRecord): number {
  return job.placement!.roles.reduce((sum, { members }) => sum + members.reduce((n, { devices }) => n + devices.length, 0), 0);
}

class HomeSearch {
  readonly moves: Relocation[] = [];
  readonly left = new Set<JobRecord>();
  readonly #state: State;
  readonly #partitions: readonly Partition[];
  readonly #mayMove: (job: JobRecord) => boolean;
  #neighbours: Map<number, JobRecord[]> | null = null;

  constructor(state: State, partitions: readonly Partition[], mayMove: (job: JobRecord) => boolean) {
    this.#state = state;
    this.#partitions = partitions;
    this.#mayMove = mayMove;
  }

  leave(job: JobRecord): void {
    this.left.add(job);
    this.#state.placer.untake(job.placement!);
    this.#state.quota.refund(job.queue, job.usage);
  }

  comeBack(job: JobRecord): void {
    this.#state.placer.take(job.placement!);
    this.#state.quota.charge(job.queue, job.usage);
  }

  house(job: JobRecord): boolean {
    return this.#settle(job, []) || this.#makeRoom(job);
  }

  undo(moves: readonly Relocation[]): void {
    const { placer, quota } = this.#state;
    for (const { job, home } of moves) {
      placer.untake(home);
      quota.refund(job.queue, quota.usageOf(chargesOf(home)));
    }
  }

  /** A home of the same size. */
  #settle(job: JobRecord, avoid: readonly number[]): boolean {
    const { variant, roles } = job.placement!;
    const sized = { ...variant, roles: variant.roles.map((role, i) => ({ ...role, min: roles[i]!.members.length, max: roles[i]!.members.length })) };
    const { placer, quota } = this.#state;
    const within = bounds(this.#state, job);
    // What its queue uses already it may go on using, were it more than it may by now.
    const isAsBefore = (usage: Usage): boolean =>
      usage.every((one) => job.usage.some(({ dimension, amount }) => dimension === one.dimension && amount >= one.amount));
    const allowed = (charges: readonly Charge[]): boolean => isAsBefore(quota.usageOf(charges)) || within.allowed(charges);
    const home = place(placer, { ...job.request, variants: [sized] }, { usable: within.usable, allowed, avoid: [...within.avoid, ...avoid] });
    if (home === null) return false;
    quota.charge(job.queue, quota.usageOf(chargesOf(home)));
    this.moves.push({ job, home: { ...home, variant, roles: home.roles.map((placed, i) => ({ ...placed, role: variant.roles[i]! })) } });
    return true;
  }

  /** Moves the smallest neighbours off the node where the least must move. */
  #makeRoom(job: JobRecord): boolean {
    const size = devicesOf(job);
    if (!alone(job)) return false;
    for (const { node, neighbours } of this.#clearings(size)) {
      const before = this.moves.length;
      for (const other of neighbours) this.leave(other);
      if (neighbours.every((other) => this.#settle(other, [node])) && this.#settle(job, [])) return true;
      this.undo(this.moves.splice(before));
      for (const other of neighbours) {
        this.left.delete(other);
        this.comeBack(other);
      }
    }
    return false;
  }

  #clearings(size: number): { node: number; neighbours: JobRecord[] }[] {
    const { nodes } = this.#state.placer;
    const found: { node: number; neighbours: JobRecord[]; moved: number }[] = [];
    for (const [node, here] of this.#byNode()) {
      if (nodes.schedulable[node] === 0) continue;
      const neighbours: JobRecord[] = [];
      let missing = size - nodes.freeDevices[node]!;
      let moved = 0;
      for (const other of here) {
        const devices = devicesOf(other);
        if (missing <= 0 || devices >= size) break;
        if (this.left.has(other)) continue;
        neighbours.push(other);
        missing -= devices;
        moved += devices;
      }
      if (missing <= 0 && neighbours.length > 0) found.push({ node, neighbours, moved });
    }
    found.sort((a, b) => a.moved - b.moved || a.neighbours.length - b.neighbours.length || nodes.position[a.node]! - nodes.position[b.node]!);
    return found.slice(0, TRIES);
  }

  /** Jobs that stand alone on a node and may move, the smallest first. */
  #byNode(): Map<number, JobRecord[]> {
    if (this.#neighbours === null) {
      this.#neighbours = new Map();
      for (const job of this.#state.holding) {
        if (!alone(job) || !this.#partitions.includes(job.placement!.roles[0]!.partition) || !this.#mayMove(job)) continue;
        const { node } = job.placement!.roles[0]!.members[0]!;
        const here = this.#neighbours.get(node) ?? [];
        here.push(job);
        this.#neighbours.set(node, here);
      }
      for (const here of this.#neighbours.values()) here.sort((a, b) => devicesOf(a) - devicesOf(b) || a.sequence - b.sequence);
    }
    return this.#neighbours;
  }
}

/** One member, with whole devices. */
function alone(job: JobRecord): boolean {
  const { roles } = job.placement!;
  return roles.length === 1 && roles[0]!.members.length === 1 && roles[0]!.role.shape.devices > 0;
}
