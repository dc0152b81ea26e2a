import { devicesEach } from "./counts.ts";
import type { JobRecord } from "./jobs.ts";
import type { Partition } from "./partition.ts";
import { leadingRole, type Request, type ResolvedVariant } from "./request.ts";
import type { Demand, RelativeSpeed } from "./scarcity.ts";
import type { State } from "./state.ts";

type Speed = (variant: ResolvedVariant, partition: Partition) => number;

/** What a job prefers among variants and pools, lower first; null: as listed. */
export function preferenceOf(state: State, job: JobRecord): Speed | null {
  const { request } = job;
  if (request.policy === "ordered") return null;
  if (request.policy === "cheapest") {
    const speed = speedOf(state, request);
    return (variant, partition) => {
      const price = state.placer.pools.get(partition.pool)?.price ?? 0;
      const devices = variant.roles.reduce((sum, role) => sum + role.max * (role.shape.devices + role.shape.share / 1000), 0);
      return (price * devices) / speed(variant, partition);
    };
  }
  const relative = relativeSpeeds(state, request);
  return (variant, partition) =>
    state.scarcity.priceOf(partition) - (relative.find((one) => one.variant === variant && one.partition === partition)?.speed ?? 0);
}

/** Of what its fastest device does, so much less than elsewhere is not worth having: the job waits for that instead. */
const TOO_SLOW = 0.5;

/** Whether a job that goes by speed should start on a partition, or wait for one that does much more for it. */
export function isFastEnough(state: State, job: JobRecord, partition: Partition): boolean {
  if (job.request.policy !== "fastest") return true;
  const gain = (one: RelativeSpeed): number => one.speed - state.scarcity.priceOf(one.partition);
  const relative = relativeSpeeds(state, job.request);
  const most = relative.reduce((best, one) => Math.max(best, gain(one)), -Infinity);
  return relative.some((one) => one.partition === partition && gain(one) >= most - TOO_SLOW);
}

/** How fast a request is wherever it may run, 1 on its fastest; prices are brought up to date first. */
export function relativeSpeeds(state: State, request: Request): readonly RelativeSpeed[] {
  refreshPrices(state);
  return speedsOf(state, request);
}

/** Brings prices up to date. Gives when they follow what was asked since, where they may not yet. */
export function refreshPrices(state: State): number {
  const { scarcity, requests, placer, quota } = state;
  if (requests.speedVersion === 0) return Infinity;
  const of = `${requests.speedVersion}/${placer.version}/${quota.structure}`;
  scarcity.refresh(state.now, of, () => demands(state));
  return scarcity.followsAt(of);
}

/** What is stated stays; what is learned is looked at anew with the prices. */
function speedsOf(state: State, request: Request): readonly RelativeSpeed[] {
  const { scarcity, placer } = state;
  const stated = request.variants.every((variant) => variant.throughput !== null);
  const prices = stated ? -1 : scarcity.version;
  let known = scarcity.speeds.get(request);
  if (known?.placer !== placer.version || known.prices !== prices) {
    const speed = speedOf(state, request);
    const all = choices(state, request).map(([variant, partition]) => ({ variant, partition, speed: speed(variant, partition) }));
    const fastest = Math.max(...all.map((one) => one.speed));
    known = { placer: placer.version, prices, speeds: all.map((one) => ({ ...one, speed: one.speed / fastest })) };
    scarcity.speeds.set(request, known);
  }
  return known.speeds;
}

/** All jobs that go by speed, those that run too, by what they ask. */
function demands(state: State): Demand[] {
  const found: Demand[] = [];
  for (const { request, jobs } of state.requests.all()) {
    if (request.policy !== "fastest") continue;
    const each = request.variants[0]!.roles.reduce((sum, role) => sum + role.min * devicesEach(role.shape), 0);
    found.push({ devices: jobs * each, speeds: speedsOf(state, request) });
  }
  return found;
}

function choices(state: State, request: Request): [ResolvedVariant, Partition][] {
  return request.variants.flatMap((variant) =>
    state.placer.matching(variant, leadingRole(variant)).map((partition): [ResolvedVariant, Partition] => [variant, partition]),
  );
}

/**
 * Speed as the variants say. Where one does not, as finished runs of the job's class showed it; what was never tried counts
 * as just faster than the others, so that it has its turn.
 */
function speedOf(state: State, request: Request): Speed {
  if (request.variants.every((variant) => variant.throughput !== null)) return (variant) => variant.throughput!;
  const seenOn = (accelerator: string): number | null => state.learned.quantile(request.jobClass, 0.5, accelerator);
  const seen = choices(state, request).map(([, { accelerator }]) => 1 / (seenOn(accelerator) ?? Infinity));
  const untried = (Math.max(0, ...seen) || 1) * (1 + 1e-9);
  return (_variant, partition) => {
    const time = seenOn(partition.accelerator);
    return time === null ? untried : 1 / time;
  };
}

/** The request itself, or bound to one zone when as many jobs as the operator allows span several already. */
export function crossesZones(state: State, request: Request, crossing = state.holding.crossing): Request {
  const most = state.policy.maxCrossZoneJobs;
  const zone = zoneLevel(state);
  if (most === undefined || zone === 0) return request;
  if (crossing < most) return request;
  return { ...request, within: Math.min(request.within, zone), withinRequired: true };
}

/** Whether the places of a job are in several zones. */
export function spansZones(state: State, job: JobRecord): boolean {
  const zone = zoneLevel(state);
  if (zone === 0) return false;
  let first: unknown;
  for (const { partition, members } of job.placement!.roles) {
    for (const { node } of members) {
      const path = partition.levels[zone]!.path[state.blockOf(partition, node, zone)];
      first ??= path;
      if (path !== first) return true;
    }
  }
  return false;
}

/** 0: the fabric has none. */
function zoneLevel(state: State): number {
  return state.levels.list.findIndex((level) => level.rung === "zone") + 1;
}
