/**
 * Speed of the placement engine in process, on one core: 12,500 nodes of eight devices on a four-level fabric,
 * 100,000 waiting jobs of mixed sizes in 200 queues; then the same on clusters of 1,000 to 1,000,000 devices.
 */
import { createEngine, DEFAULT_POLICY } from "@muster/placement";
import type { CycleResult, JobInput, PlacementEngine } from "@muster/placement";
import { drawLines, type Series } from "./charts/lines.ts";

const DEVICES = 8;
const PER_LEAF = 16;
const LEAVES_PER_SPINE = 16;
const SPINES_PER_ZONE = 16;
const GIB = 2 ** 30;
/** Nodes, and waiting jobs, of the clusters whose cost is drawn. */
const CLUSTERS = [125, 1250, 12_500, 125_000];
const DEPTHS = [1000, 10_000, 100_000];

/** Members, devices of each, and how many of a hundred jobs: Muri's sizes with a few large gangs. */
const SIZES: readonly (readonly [members: number, devices: number, percent: number])[] = [
  [1, 1, 36],
  [1, 2, 15],
  [1, 4, 14],
  [1, 8, 30.5],
  [2, 8, 2],
  [4, 8, 2],
  [16, 8, 0.3],
  [64, 8, 0.15],
  [128, 8, 0.05],
];

interface Bench {
  engine: PlacementEngine;
  queues: number;
  now: number;
  submitted: number;
  random: () => number;
}

/** Marsaglia's xorshift: the same jobs in every run. */
function xorshift(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

function cluster(nodes: number, queues: number): Bench {
  const engine = createEngine();
  for (let i = 0; i < nodes; i++) {
    const leaf = Math.floor(i / PER_LEAF);
    const spine = Math.floor(leaf / LEAVES_PER_SPINE);
    const zone = Math.floor(spine / SPINES_PER_ZONE);
    engine.putNode({
      id: `n${i}`,
      pool: "h800",
      accelerator: "h800",
      devices: DEVICES,
      cpuMillis: 128_000,
      memoryBytes: 1024 * GIB,
      schedulable: true,
      fabric: { leaf: `l${leaf}`, spine: `s${spine}`, zone: `z${zone}` },
    });
  }
  for (let q = 0; q < queues; q++) engine.putQueue({ id: `q${q}` });
  return { engine, queues, now: 0, submitted: 0, random: xorshift(7) };
}

/** A thousand queues of a hundred teams of ten organisations, each guaranteed a part of the cluster. */
function tree(nodes: number): Bench {
  const bench = cluster(nodes, 0);
  bench.queues = 1000;
  const nominal = (0.8 * nodes * DEVICES * 1000) / bench.queues;
  for (let i = 0; i < 10; i++) bench.engine.putQueue({ id: `organisation${i}` });
  for (let i = 0; i < 100; i++) bench.engine.putQueue({ id: `team${i}`, parent: `organisation${i % 10}` });
  for (let i = 0; i < bench.queues; i++) {
    bench.engine.putQueue({ id: `q${i}`, parent: `team${i % 100}`, quotas: [{ resource: "accelerators", accelerator: "h800", nominal }] });
  }
  return bench;
}

function job(bench: Bench, members: number, devices: number, more: Partial<JobInput> = {}): JobInput {
  const id = bench.submitted++;
  return {
    id: `job${id}`,
    queue: `q${id % bench.queues}`,
    priority: id % 3,
    preemptible: true,
    submittedAt: id,
    roles: [
      {
        name: "worker",
        nodes: { min: members, max: members },
        resources: { accelerators: devices, cpuMillis: devices * 12_000, memoryBytes: devices * 64 * GIB },
      },
    ],
    ...more,
  };
}

function mixed(bench: Bench): JobInput {
  let left = bench.random() * 100;
  for (const [members, devices, percent] of SIZES) {
    left -= percent;
    if (left < 0) return job(bench, members, devices);
  }
  return job(bench, 1, 1);
}

function timed<T>(work: () => T): [ms: number, result: T] {
  const began = performance.now();
  const result = work();
  return [performance.now() - began, result];
}

function cycle(bench: Bench): CycleResult {
  bench.now += 1000;
  return bench.engine.cycle(bench.now);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}

interface Full {
  cold: number;
  steady: number[];
  placed: number;
  waiting: number;
}

/** A first cycle over an empty cluster and a full queue, then rounds in which jobs end and as many arrive. */
function fill(bench: Bench, waiting: number, rounds: number): Full {
  for (let i = 0; i < waiting; i++) bench.engine.submit(mixed(bench));
  const [cold, first] = timed(() => cycle(bench));
  const running = first.starts.map((start) => start.job);
  const steady: number[] = [];
  let last = first;
  const settle = (result: CycleResult): void => {
    for (const start of result.starts) running.push(start.job);
    for (const { job: id } of [...result.evictions, ...result.moves]) {
      const at = running.indexOf(id);
      running[at] = running[running.length - 1]!;
      running.pop();
      bench.engine.released(id, bench.now);
    }
  };
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 100 && running.length > 0; i++) {
      const at = Math.floor(bench.random() * running.length);
      bench.engine.finished(running[at]!, bench.now);
      running[at] = running[running.length - 1]!;
      running.pop();
    }
    for (let i = 0; i < 100; i++) bench.engine.submit(mixed(bench));
    const [ms, result] = timed(() => cycle(bench));
    steady.push(ms);
    settle(result);
    last = result;
  }
  return { cold, steady, placed: first.starts.length, waiting: last.waiting };
}

function oneDevicePlacements(): number {
  const bench = cluster(12_500, 200);
  cycle(bench);
  let best = 0;
  for (let round = 0; round < 2; round++) {
    const ids: string[] = [];
    for (let i = 0; i < 50_000; i++) {
      const input = job(bench, 1, 1);
      ids.push(input.id);
      bench.engine.submit(input);
    }
    const [ms, { starts }] = timed(() => cycle(bench));
    best = Math.max(best, starts.length / (ms / 1000));
    for (const id of ids) bench.engine.finished(id, bench.now);
  }
  return best;
}

function largeGang(): { gang: number; impossible: number } {
  const bench = cluster(12_500, 200);
  cycle(bench);
  // Some of every leaf is in use, so that whole leaves must be looked for.
  for (let i = 0; i < 3000; i++) bench.engine.submit(job(bench, 1, 4));
  cycle(bench);
  const gangs: number[] = [];
  const impossible: number[] = [];
  for (let round = 0; round < 9; round++) {
    const input = job(bench, 512, DEVICES, { segments: [{ ranks: 64, within: "leaf", mode: "required" }], within: { within: "zone", mode: "preferred" } });
    bench.engine.submit(input);
    const [ms, { starts }] = timed(() => cycle(bench));
    if (starts.length !== 1) throw new Error("the gang of 4,096 devices did not start");
    gangs.push(ms);
    bench.engine.finished(input.id, bench.now);
    const asked = job(bench, 512, DEVICES, { segments: [{ ranks: 512, within: "leaf", mode: "required" }] });
    const [took, plan] = timed(() => bench.engine.plan(asked, bench.now));
    if (!plan.impossible) throw new Error("64 nodes in a leaf of 16 were not found impossible");
    impossible.push(took);
  }
  return { gang: quantile(gangs, 0.5), impossible: quantile(impossible, 0.5) };
}

/** Estimated starts behind a full cluster: of single jobs on demand (p99), and of all waiting jobs in slices of 5 ms. */
function estimates(): { one: number; all: number } {
  const bench = cluster(12_500, 200);
  for (let i = 0; i < 120_000; i++) bench.engine.submit({ ...mixed(bench), expectedDuration: 600_000 + bench.random() * 7_200_000, timeLimit: 86_400_000 });
  const started = new Set(cycle(bench).starts.map((start) => start.job));
  const waiting = Array.from({ length: bench.submitted }, (_, i) => `job${i}`).filter((id, i) => i % 499 === 0 && !started.has(id));
  const times = waiting.map((id) => timed(() => bench.engine.explain(id))[0]);
  let all = 0;
  for (let done = false; !done; ) {
    const [ms, complete] = timed(() => bench.engine.estimates(bench.now, 5, () => performance.now()));
    all += ms;
    done = complete;
  }
  return { one: quantile(times, 0.99), all: all / 1000 };
}

/** A queue takes back its own 1,000 nodes, for one gang, from a borrower whose small jobs are everywhere. */
function reclaim(): number {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const bench = cluster(1000, 1);
    const half = 1000 * DEVICES * 1000;
    bench.engine.putQueue({ id: "q0", quotas: [{ resource: "accelerators", accelerator: "h800", nominal: 0 }] });
    bench.engine.putQueue({ id: "owner", quotas: [{ resource: "accelerators", accelerator: "h800", nominal: half }] });
    bench.engine.setPolicy({ protectedRuntimeMs: 0 });
    for (let i = 0; i < 2000; i++) bench.engine.submit(job(bench, 1, 4));
    cycle(bench);
    bench.engine.submit({ ...job(bench, 1000, DEVICES), queue: "owner" });
    const [ms, result] = timed(() => cycle(bench));
    if (result.evictions.length !== 2000) throw new Error(`reclaim evicted ${result.evictions.length} of 2000 jobs`);
    times.push(ms);
  }
  return quantile(times, 0.5);
}

export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }> {
  const bench = cluster(12_500, 200);
  const full = fill(bench, 100_000, 500);
  const rss = process.memoryUsage().rss / 2 ** 20;
  // a cycle is a second: from then on what runs may be stopped for others
  const stoppable = DEFAULT_POLICY.protectedRuntimeMs / 1000;
  const p99 = quantile(full.steady.slice(20, stoppable), 0.99);
  const stoppableP99 = quantile(full.steady.slice(stoppable), 0.99);
  const inTree = fill(tree(12_500), 100_000, 500).steady.slice(20);
  const placements = oneDevicePlacements();
  const { gang, impossible } = largeGang();
  const reclaimed = reclaim();
  const estimated = estimates();
  const figures = {
    cold_cycle_ms: round(full.cold),
    steady_cycle_p99_ms: round(p99),
    steady_cycle_stoppable_p99_ms: round(stoppableP99),
    tree_cycle_p50_ms: round(quantile(inTree, 0.5)),
    tree_cycle_p99_ms: round(quantile(inTree, 0.99)),
    placements_per_second: Math.round(placements),
    gang_4096_ms: round(gang),
    impossible_ms: round(impossible),
    reclaim_1000_nodes_ms: round(reclaimed),
    rss_mib: Math.round(rss),
    estimate_ms: round(estimated.one),
    estimates_all_s: round(estimated.all),
  };
  const rows: [string, string, string][] = [
    ["full cycle from cold, 100,000 devices, 100,000 waiting", `${figures.cold_cycle_ms} ms (${full.placed} started)`, "aim 2,000 ms"],
    ["steady cycle, 100 end and 100 arrive, p50", `${round(quantile(full.steady, 0.5))} ms`, ""],
    ["steady cycle, p99", `${figures.steady_cycle_p99_ms} ms`, "aim 20 ms"],
    ["the same once what runs may be stopped for others", `${figures.steady_cycle_stoppable_p99_ms} ms`, "aim 20 ms"],
    ["the same with 1,000 queues in a tree, all with quotas, p50", `${figures.tree_cycle_p50_ms} ms`, ""],
    ["p99 of it", `${figures.tree_cycle_p99_ms} ms`, ""],
    ["one-device placements", `${figures.placements_per_second}/s`, "aim 50,000/s; kube-scheduler CI floor 680-810 pods/s"],
    ["gang of 4,096 devices in segments", `${figures.gang_4096_ms} ms`, "aim 10 ms"],
    ["an impossible job told so, with its reason", `${figures.impossible_ms} ms`, "aim 5 ms"],
    ["reclaim over 1,000 nodes", `${figures.reclaim_1000_nodes_ms} ms`, "aim 100 ms; KAI 76 s"],
    ["explanation with an estimated start, p99", `${figures.estimate_ms} ms`, "aim 50 ms"],
    ["estimated starts of all waiting jobs, in slices", `${figures.estimates_all_s} s`, "aim 60 s"],
    ["resident memory", `${figures.rss_mib} MiB`, "aim 1,024 MiB"],
  ];
  for (const [what, ours, other] of rows) console.error(`${what.padEnd(58)}${ours.padEnd(28)}${other}`);
  showSizes();
  return {
    figures,
    peers: { kai_reclaim_1000_nodes_ms: 76_000, kube_scheduler_pods_per_second: 680, slurm_jobs_per_second: 500, yunikorn_allocations_per_second: 410 },
  };
}

/** Cost against the size of the cluster and the depth of the queue, as a table and as pictures. */
function showSizes(): void {
  console.error(`\n${"devices".padStart(9)}${"waiting".padStart(9)}${"cold ms".padStart(10)}${"steady p50".padStart(12)}${"p99".padStart(8)}`);
  const cold: Series[] = [];
  const steady: Series[] = [];
  for (const waiting of DEPTHS) {
    const name = `${waiting.toLocaleString("en")} waiting`;
    const points = { cold: [] as [number, number][], steady: [] as [number, number][] };
    for (const nodes of CLUSTERS) {
      const sized = fill(cluster(nodes, 200), waiting, 40);
      const devices = nodes * DEVICES;
      const [p50, p99] = [quantile(sized.steady, 0.5), quantile(sized.steady, 0.99)];
      points.cold.push([devices, round(sized.cold)]);
      points.steady.push([devices, round(p50)]);
      console.error(
        `${String(devices).padStart(9)}${String(waiting).padStart(9)}${sized.cold.toFixed(0).padStart(10)}${p50.toFixed(1).padStart(12)}${p99.toFixed(1).padStart(8)}`,
      );
    }
    cold.push({ name, points: points.cold });
    steady.push({ name, points: points.steady });
  }
  const devices = { name: "accelerators", log: true };
  drawLines("placement-cold", "A cycle from cold: empty cluster, full queue", devices, { name: "ms", log: true }, cold);
  drawLines("placement-steady", "A steady cycle: 100 jobs end, 100 arrive (median)", devices, { name: "ms", log: true }, steady);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
