/**
 * Defragmentation: a 12,500-node cluster, 85 % full of small jobs put down at random, and as many gangs of 512 devices
 * as its free room would hold. Which share of them can start: before anything; after placement alone, that is, once half
 * of the jobs have ended and jobs like them were placed by the engine; after consolidation of the random state alone; and
 * after both. Lost work is what the moved jobs had done since their last checkpoint, over what the cluster does in a day.
 */
import { createEngine } from "@muster/placement";
import type { JobInput, MemberPlacement, PlacementEngine } from "@muster/placement";

const NODES = 12_500;
const DEVICES = 8;
const FULL = 0.85;
const GANG_NODES = 64;
const HOUR = 3_600_000;
/** Running jobs checkpoint at this interval; each was last saved at a random time within it. */
const CHECKPOINT_MS = 10 * 60_000;
const CYCLES = 4000;

interface Cluster {
  engine: PlacementEngine;
  used: number[];
  random: () => number;
  running: Map<string, MemberPlacement[]>;
  now: number;
}

function xorshift(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

function small(id: string, devices: number): JobInput {
  return {
    id,
    queue: "q",
    priority: 0,
    preemptible: true,
    submittedAt: 0,
    checkpoint: { interval: CHECKPOINT_MS },
    roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: devices } }],
  };
}

function gang(id: string): JobInput {
  return { ...small(id, DEVICES), priority: 1, roles: [{ name: "worker", nodes: { min: GANG_NODES, max: GANG_NODES }, resources: { accelerators: DEVICES } }] };
}

/** Small jobs at random places until the cluster is as full as asked. */
function scattered(consolidation: boolean): Cluster {
  const engine = createEngine({ policy: { consolidation, backfill: "greedy", reclaim: "never" } });
  engine.putQueue({ id: "q", withinQueue: "never" });
  for (let i = 0; i < NODES; i++) {
    engine.putNode({
      id: `n${i}`,
      pool: "h800",
      accelerator: "h800",
      devices: DEVICES,
      cpuMillis: 128_000,
      memoryBytes: 2 ** 40,
      schedulable: true,
      fabric: { leaf: `l${i >> 4}`, spine: `s${i >> 8}`, zone: `z${i >> 12}` },
    });
  }
  const cluster: Cluster = { engine, used: Array.from({ length: NODES }, () => 0), random: xorshift(11), running: new Map(), now: HOUR };
  let left = NODES * DEVICES * FULL;
  for (let i = 0; left > 0; i++) {
    const size = [1, 2, 4, 8][Math.floor(cluster.random() * 4)]!;
    let node = Math.floor(cluster.random() * NODES);
    for (let tried = 0; cluster.used[node]! + size > DEVICES && tried < NODES; tried++) node = (node + 1) % NODES;
    if (cluster.used[node]! + size > DEVICES) continue;
    const from = cluster.used[node]!;
    cluster.used[node] = from + size;
    left -= size;
    const id = `job${i}`;
    const members = [
      {
        role: "worker",
        rank: 0,
        node: `n${node}`,
        devices: Array.from({ length: size }, (_, d) => from + d),
        share: 1000,
        cpuMillis: 0,
        memoryBytes: 0,
      },
    ];
    engine.submit(small(id, size));
    engine.started(id, { variant: 0, startedAt: 0, lastCheckpointAt: HOUR - Math.floor(cluster.random() * CHECKPOINT_MS), members });
    cluster.running.set(id, members);
  }
  return cluster;
}

/** Submits gangs for all free devices and counts those that start; what is moved on the way is lost work. */
function startGangs(cluster: Cluster): { share: number; started: number; lost: number; moves: number } {
  const { engine, running } = cluster;
  const free = NODES * DEVICES - [...running.values()].reduce((sum, members) => sum + members.reduce((n, member) => n + member.devices.length, 0), 0);
  const gangs = Math.floor(free / (GANG_NODES * DEVICES));
  for (let g = 0; g < gangs; g++) engine.submit(gang(`gang${g}`));
  let startedGangs = 0;
  let lost = 0;
  let moves = 0;
  let quiet = 0;
  for (let i = 0; i < CYCLES && quiet < 20 && startedGangs < gangs; i++) {
    cluster.now += 1000;
    const result = engine.cycle(cluster.now);
    for (const move of result.moves) {
      lost += move.lostWork;
      moves++;
      engine.released(move.job, cluster.now);
    }
    startedGangs += result.starts.filter((start) => start.job.startsWith("gang")).length;
    quiet = result.starts.length + result.moves.length > 0 ? 0 : quiet + 1;
  }
  return { share: gangs === 0 ? 1 : startedGangs / gangs, started: startedGangs, lost, moves };
}

/** Half of the jobs end, and equal ones are placed by the engine. */
function turnOver(cluster: Cluster): void {
  const { engine, running, random } = cluster;
  for (const [id, members] of running) {
    if (random() < 0.5) continue;
    engine.finished(id, cluster.now);
    running.delete(id);
    engine.submit(small(`${id}-again`, members[0]!.devices.length));
  }
  for (const start of engine.cycle(++cluster.now).starts) running.set(start.job, [...start.members]);
}

export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }> {
  const before = startGangs(scattered(false));
  const placed = scattered(false);
  turnOver(placed);
  const afterPlacement = startGangs(placed);
  const afterMoves = startGangs(scattered(true));
  const both = scattered(true);
  turnOver(both);
  // Those that were placed again are left alone for the protected run time.
  both.now += HOUR;
  for (const id of both.running.keys()) both.engine.checkpointed(id, both.now - Math.floor(both.random() * CHECKPOINT_MS));
  const afterBoth = startGangs(both);
  const day = NODES * DEVICES * 24 * HOUR;
  const figures = {
    startable_before: round(before.share),
    startable_after_placement: round(afterPlacement.share),
    startable_after_consolidation: round(afterMoves.share),
    lost_work_ratio: round(afterMoves.lost / day),
    moves_per_gang: round(afterMoves.moves / Math.max(1, afterMoves.started)),
    startable_after_both: round(afterBoth.share),
    lost_work_ratio_after_both: round(afterBoth.lost / day),
  };
  console.error(`gangs of 512 devices that start, of those that the free devices would hold (${NODES} nodes, ${FULL * 100} % full at random)`);
  console.error(`  at once                           ${(before.share * 100).toFixed(1)} %`);
  console.error(`  after placement alone             ${(afterPlacement.share * 100).toFixed(1)} %`);
  const moved = (name: string, { share, moves, lost }: ReturnType<typeof startGangs>): void =>
    console.error(`  ${name.padEnd(33)} ${(share * 100).toFixed(1)} %, ${moves} moves, ${(lost / HOUR).toFixed(0)} device-hours lost`);
  moved("after consolidation alone", afterMoves);
  moved("after both", afterBoth);
  return { figures, peers: {} };
}

function round(value: number): number {
  return Math.round(value * 1e5) / 1e5;
}
