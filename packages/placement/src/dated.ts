import type { JobRecord } from "./jobs.ts";
import { durations } from "./learned.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import type { Placement } from "./placement.ts";
import type { State } from "./state.ts";
import { before } from "./waiting.ts";
import { bounds } from "./windows.ts";

/** A job that should have ended just now is waited for so long at least. */
const LEAST_LATE_MS = 10_000;

/** Where and from when a waiting job will find room, if the jobs that run end as they are expected to. */
export interface DatedReservation {
  at: number;
  nodes: ReadonlySet<number>;
}

/**
 * The earliest instant at which a job fits when running jobs end as expected, and the nodes that it would get then.
 * Null when it does not even fit after all of them whose end is known. Ends are released in order, in steps that
 * double until the job fits, then halved down to the first that suffices.
 */
export function earliestStart(state: State, job: JobRecord, which: "likely" | "longest"): DatedReservation | null {
  let best: DatedReservation | null = null;
  for (const partition of state.placer.partitionsFor(job.request)) {
    const found = earliestIn(state, job, partition, which);
    if (found !== null && (best === null || found.at < best.at)) best = found;
  }
  return best;
}

function earliestIn(state: State, job: JobRecord, partition: Partition, which: "likely" | "longest"): DatedReservation | null {
  const { placer } = state;
  const { avoid, usable } = bounds(state, job);
  const ends: { at: number; placement: Placement }[] = [];
  const own = job.request.variants.flatMap((variant) => variant.roles.flatMap((role) => placer.choices(variant, role, partition)));
  const wanted = new Set([partition, ...own]);
  for (const [other, end] of state.running.ending) {
    const placement = other.placement!;
    if (end[which] === Infinity || !placement.roles.some((placed) => wanted.has(placed.partition))) continue;
    ends.push({ at: end[which] > state.now ? end[which] : state.now + (which === "likely" ? lateBy(state.now - end[which]) : 0), placement });
  }
  ends.sort((a, b) => a.at - b.at);
  let released = 0;
  const releaseUpTo = (count: number): void => {
    for (; released < count; released++) placer.untake(ends[released]!.placement);
    for (; released > count; released--) placer.take(ends[released - 1]!.placement);
  };
  const attempt = (count: number): Placement | null => {
    releaseUpTo(count);
    const placement = place(placer, job.request, { avoid, usable, lead: partition });
    if (placement !== null) placer.untake(placement);
    return placement;
  };
  let failed = 0;
  let count = 1;
  let placement: Placement | null = null;
  for (; ends.length > 0; count = Math.min(ends.length, count * 2)) {
    placement = attempt(count);
    if (placement !== null || count === ends.length) break;
    failed = count;
  }
  while (placement !== null && count - failed > 1) {
    const middle = (failed + count) >> 1;
    const earlier = attempt(middle);
    if (earlier === null) failed = middle;
    else {
      count = middle;
      placement = earlier;
    }
  }
  releaseUpTo(0);
  if (placement === null) return null;
  const nodes = new Set(placement.roles.flatMap(({ members }) => members.map((member) => member.node)));
  return { at: ends[count - 1]!.at, nodes };
}

/** Who is late may end any moment, and is likely to be so for longer the later it is already: its end stays one to wait for. */
function lateBy(late: number): number {
  return Math.max(LEAST_LATE_MS, late / 2);
}

/** Reservations kept for the first blocked jobs, so that later ones only fill the time until then. */
export class DatedReservations {
  readonly #state: State;
  readonly #kept = new Map<JobRecord, DatedReservation>();

  constructor(state: State) {
    this.#state = state;
  }

  get size(): number {
    return this.#kept.size;
  }

  get(job: JobRecord): DatedReservation | undefined {
    return this.#kept.get(job);
  }

  /** Drops those that are due, without an owner, or on nodes that went out of service. */
  prune(): void {
    const { nodes } = this.#state.placer;
    for (const [job, { at, nodes: kept }] of this.#kept) {
      const gone = job.state !== "waiting" || this.#state.jobs.get(job.input.id) !== job || at <= this.#state.now;
      if (!gone && [...kept].every((slot) => nodes.schedulable[slot] === 1)) continue;
      this.#kept.delete(job);
      this.#state.placer.epoch++;
    }
  }

  /** Keeps as many as the policy has, those made first. */
  limit(): void {
    const { backfill, reservations } = this.#state.policy;
    for (const job of [...this.#kept.keys()].slice(backfill === "dated" ? reservations : 0)) this.#kept.delete(job);
  }

  /** Makes one for a job that found no room, while there are few enough. */
  make(job: JobRecord): boolean {
    if (this.#kept.has(job) || this.#kept.size >= this.#state.policy.reservations) return false;
    const found = earliestStart(this.#state, job, "likely");
    if (found !== null && found.at > this.#state.now) this.#kept.set(job, found);
    return true;
  }

  /**
   * Nodes that a job would still hold when a job at least as urgent needs them. Nobody is held back by who comes after it in its queue,
   * or whose reservation is younger than its own: else two could keep each other from the same nodes.
   */
  avoidedBy(job: JobRecord): Set<number> {
    const avoided = new Set<number>();
    if (this.#kept.size === 0) return avoided;
    const end = this.#state.now + durations(job, this.#state.learned).likely;
    for (const [owner, { at, nodes }] of this.#kept) {
      if (owner === job) break;
      if (owner.input.priority < job.input.priority || end <= at || (owner.queue === job.queue && before(job, owner))) continue;
      for (const slot of nodes) avoided.add(slot);
    }
    return avoided;
  }
}
