import { climb, replace, type Climb, type Need, type Standby } from "@muster/lifecycle";
import {
  attemptKey,
  lockStandbys,
  readComebacks,
  readStandbys,
  type AttemptId,
  type Client,
  type ComebackRow,
  type NextWorker,
  type PlaceRow,
  type Reopened,
  type StandbyRow,
} from "@muster/store";

/** A failed attempt whose job is to come back. */
export interface Comeback extends AttemptId {
  backoff: number;
  /** Nodes that the verdict leaves out. */
  exclude: readonly string[];
}

export interface Decided {
  climb: Climb;
  /** The attempt to open at once, where it doesn't go through the queue. */
  next: Reopened | undefined;
}

const LEVELS = ["zone", "spine", "leaf", "domain"];

/** How each of these jobs comes back, with its stand-ins locked, in the caller's transaction. */
export async function decideComebacks(client: Client, comebacks: readonly Comeback[]): Promise<Map<string, Decided>> {
  if (comebacks.length === 0) return new Map();
  const { jobs, places } = await readComebacks(client, comebacks);
  const rows = new Map(jobs.map((row) => [attemptKey(row), row]));
  const byAttempt = Map.groupBy(places, attemptKey);
  const own = new Set(places.map((place) => place.node));
  const decideAll = (standbys: readonly StandbyRow[]): Map<string, Decided> => {
    const free = new Map(standbys.filter((one) => !own.has(one.node)).map((one) => [one.node, one]));
    return new Map(
      comebacks.flatMap((comeback) => {
        const row = rows.get(attemptKey(comeback));
        return row ? [[attemptKey(comeback), decide(comeback, row, byAttempt.get(attemptKey(comeback)) ?? [], free)] as const] : [];
      }),
    );
  };
  const out = places.filter(
    (place) => place.out !== null || comebacks.some((one) => attemptKey(one) === attemptKey(place) && one.exclude.includes(place.node)),
  );
  const decided = decideAll(
    await readStandbys(
      client,
      out.map((place) => place.pool),
    ),
  );
  const chosen = [...decided.values()]
    .flatMap(({ climb, next }) => (climb.rung === "swap" ? (next?.workers ?? []) : []))
    .filter((worker) => !own.has(worker.node));
  // once more, on those alone, as they are now that nobody else can take them
  return chosen.length > 0 ? decideAll(await lockStandbys(client, [...new Set(chosen.map((worker) => worker.node))])) : decided;
}

function decide(comeback: Comeback, row: ComebackRow, places: readonly PlaceRow[], standbys: Map<string, StandbyRow>): Decided {
  const why = (place: PlaceRow): string | null => (comeback.exclude.includes(place.node) || row.excluded.includes(place.node) ? "left out" : place.out);
  const gone = places.filter((place) => why(place) !== null);
  const usable = [...standbys.values()].filter((one) => !row.excluded.includes(one.node) && !comeback.exclude.includes(one.node));
  const stand = gone.length === 0 ? [] : standIns(row, gone, usable);
  const roles = row.resolved.variants[row.variant]?.roles ?? [];
  const [role] = roles;
  const resizable = roles.length === 1 && role !== undefined && row.resolved.topology.segments.length === 0;
  const { min, max, step } = role?.nodes ?? { min: places.length, max: places.length, step: 1 };
  const sizes = resizable ? Array.from({ length: Math.floor((max - min) / step) + 1 }, (_, index) => max - index * step) : [];
  const chosen = climb({
    backoff: comeback.backoff,
    out: [...new Map(gone.map((place) => [place.node, { node: place.node, why: why(place) ?? "" }])).values()],
    members: places.length,
    replaced: stand !== null,
    lent: usable.some((one) => one.spare && gone.some((place) => place.pool === one.pool)),
    sizes: sizes.filter((size) => size < places.length),
    hold: row.resolved.recovery.hold,
    held: row.held_for,
    othersHold: row.others_hold,
  });
  // what the store remembers may be older than what runs: then the queue waits for all to have been heard
  if (row.starts_paused || places.length === 0) return { climb: { rung: "requeue", why: "starts are paused" }, next: undefined };
  const next =
    chosen.rung === "in_place" || chosen.rung === "swap" || chosen.rung === "shrink" ? nextWorkers(chosen, places, gone, stand, standbys) : undefined;
  if (!next) return { climb: chosen, next: undefined };
  for (const { node } of stand ?? []) if (chosen.rung === "swap") standbys.delete(node);
  const address = next.address;
  return { climb: chosen, next: { job: row.job, incarnation: row.incarnation, attempt: row.attempt, variant: row.variant, address, workers: next.workers } };
}

function standIns(row: ComebackRow, gone: readonly PlaceRow[], usable: readonly StandbyRow[]): { node: string; devices: number[] }[] | null {
  const found = new Map<PlaceRow, { node: string; devices: number[] }>();
  for (const [pool, places] of Map.groupBy(gone, (place) => place.pool)) {
    const needs = places.map((place): Need => ({ ...place, shared: sharedLevels(row, place), devices: place.devices.length }));
    const replaced = replace(needs, usable.filter((one) => one.pool === pool) satisfies Standby[]);
    if (!replaced) return null;
    for (const [index, place] of places.entries()) found.set(place, replaced[index] as { node: string; devices: number[] });
  }
  return gone.map((place) => found.get(place) as { node: string; devices: number[] });
}

/** The narrowest block that the job's topology requires anything to be within: what shares that with a node may stand in for it. */
function sharedLevels(row: ComebackRow, place: PlaceRow): number {
  const levels = place.levels && place.levels.length > 0 ? place.levels : LEVELS;
  const { job, segments } = row.resolved.topology;
  const required = [...(job ? [job] : []), ...segments].filter((one) => one.mode === "required").map((one) => levels.indexOf(one.within) + 1);
  return Math.max(0, ...required);
}

function nextWorkers(
  chosen: Climb,
  places: readonly PlaceRow[],
  gone: readonly PlaceRow[],
  stand: readonly { node: string; devices: number[] }[] | null,
  standbys: ReadonlyMap<string, StandbyRow>,
): { address: string; workers: NextWorker[] } | undefined {
  const kept = chosen.rung === "shrink" ? places.filter((place) => !gone.includes(place)).slice(0, chosen.size) : places;
  const addresses: string[] = [];
  const workers = kept.map((place, index): NextWorker => {
    const other = stand?.[gone.indexOf(place)];
    const row = other && standbys.get(other.node);
    addresses.push(row?.address ?? place.address);
    return {
      role: place.role,
      nodeRank: chosen.rung === "shrink" ? index : place.node_rank,
      ranks: place.ranks,
      node: row?.node ?? place.node,
      shard: row?.shard ?? place.shard,
      devices: other?.devices ?? place.devices,
      share: place.share,
      cpus: place.cpus,
      memory: place.memory,
    };
  });
  const [address] = addresses;
  return address === undefined ? undefined : { address, workers };
}
