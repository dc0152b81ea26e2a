import { freeDevices } from "./capacity.ts";
import { couldEverStart } from "./empty-cluster.ts";
import { moveAlone, type Decided } from "./disrupt.ts";
import { devicesOf } from "./homes.ts";
import { lostWork, type JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import type { Placement } from "./placement.ts";
import { devicesEach } from "./counts.ts";
import { relativeSpeeds } from "./preference.ts";
import type { RelativeSpeed } from "./scarcity.ts";
import { canCheckpoint } from "./request.ts";
import type { State } from "./state.ts";
import { bounds } from "./windows.ts";

/** Of what its fastest device does, so much more, beyond the prices, makes a job move: less is not worth a restart. */
const WORTH = 0.2;
/** Work that a move may lose, in time of the job: what it gains in a few times that. */
const LOST_MS = 5 * 60_000;
/** Jobs looked at for moving in one cycle. */
const TRIES = 16;

/**
 * Jobs that go by speed move to devices that are free where they gain by it: to faster ones; and where others wait for a kind, it has a
 * price, so that who gains least by it leaves it to them.
 */
export function moveBySpeed(state: State, decided: Decided): void {
  if (state.running.bySpeed.size === 0) return;
  const idle = state.placer.partitions.map((partition) => freeDevices(state, partition));
  if (!idle.some((devices) => devices > 0)) return;
  let wanted: Map<Partition, JobRecord[]> | null = null;
  let tries = TRIES;
  for (const [request, jobs] of state.running.bySpeed) {
    const speeds = relativeSpeeds(state, request);
    const needed = request.variants[0]!.roles.reduce((sum, role) => sum + role.min * devicesEach(role.shape), 0);
    if (!speeds.some(({ partition }) => idle[partition.index]! >= needed)) continue;
    const others = (wanted ??= wantedBy(state));
    const gains = speeds.map(({ speed, partition }) => speed - (others.has(partition) ? state.scarcity.priceOf(partition) : 0));
    for (const job of jobs) {
      const here = job.placement!.roles[0]!.partition;
      const now = gains[speeds.findIndex(({ partition }) => partition === here)] ?? Infinity;
      const isBetter = (_: RelativeSpeed, i: number): boolean => gains[i]! >= now + WORTH && idle[speeds[i]!.partition.index]! >= needed;
      if (!speeds.some(isBetter) || !mayMove(state, job)) continue;
      const better = speeds.filter((there, i) => isBetter(there, i) && mayLeaveTo(state, job, here, others.get(there.partition) ?? []));
      if (better.length === 0) continue;
      if (tries-- === 0) return;
      const home = findHome(state, job, better);
      if (home !== null) moveAlone(state, job, home, decided);
    }
  }
}

/** By partition the first of each lane that waits for it, and not for its quota. */
function wantedBy(state: State): Map<Partition, JobRecord[]> {
  const wanted = new Map<Partition, JobRecord[]>();
  for (const lanes of state.lanes.values()) {
    for (const lane of lanes.values()) {
      const head = lane.head();
      if (head === null || lane.blocked?.byQuota === true || !couldEverStart(state, lane)) continue;
      for (const partition of state.placer.partitionsFor(lane.request)) {
        const here = wanted.get(partition) ?? [];
        here.push(head);
        wanted.set(partition, here);
      }
    }
  }
  return wanted;
}

/** Nobody loses who is more urgent or has no use for what the job leaves. */
function mayLeaveTo(state: State, job: JobRecord, here: Partition, others: readonly JobRecord[]): boolean {
  return others.every((other) => other.input.priority <= job.input.priority && state.placer.partitionsFor(other.request).includes(here));
}

function mayMove(state: State, job: JobRecord): boolean {
  if (job.state !== "running" || job.leaving !== null || job.resized || !job.input.preemptible || !canCheckpoint(job.input)) return false;
  if (job.placement!.roles.length > 1 || state.now - job.startedAt < state.protectedRuntime) return false;
  return lostWork(job, state.now) <= LOST_MS * devicesOf(job);
}

function findHome(state: State, job: JobRecord, better: readonly RelativeSpeed[]): Placement | null {
  const { placer } = state;
  const speedOn = (partition: Partition): number => better.find((one) => one.partition === partition)?.speed ?? 0;
  const within = bounds(state, job);
  const home = place(placer, job.request, {
    allowed: within.allowed,
    avoid: [...within.avoid, ...state.dated.avoidedBy(job), ...state.leaving.nodes()],
    usable: (partition) => speedOn(partition) > 0 && within.usable(partition),
    cost: (_variant, partition) => -speedOn(partition),
  });
  // `place` takes what it finds; the job has to leave first.
  if (home !== null) placer.untake(home);
  return home;
}
