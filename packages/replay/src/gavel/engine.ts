import { createEngine, type JobInput, type PlacementEngine } from "@muster/placement";
import type { Knowledge } from "@muster/placement/ordering/service-order";
import { GAVEL_DEVICES, GAVEL_KINDS, GAVEL_WINDOW, type GavelJob } from "./workload.ts";

/** What a start costs, in seconds, the first one and every later one. */
const START = 30;

interface Run {
  job: GavelJob;
  /** Steps made before this run. */
  made: number;
  /** Seconds of running before it. */
  ran: number;
  speed: number;
  workFrom: number;
  /** Infinity while it waits. */
  ends: number;
}

/**
 * The placement engine itself on Gavel's jobs, told the speeds and charged for every start: in order of arrival, or by least
 * service, told of run times only what `order` says. Gives the average JCT of the window in hours.
 */
export function runEngine(jobs: readonly GavelJob[], order: "arrival" | Knowledge): number {
  const engine = gavelCluster(order);
  const active = new Map<string, Run>();
  const jct = new Map<number, number>();
  const { from, to } = GAVEL_WINDOW;
  let next = 0;
  let waited = 0;
  let wake = Infinity;
  while (waited < to - from) {
    const first = earliest(active.values());
    const arrival = jobs[next];
    const now = Math.min(first?.ends ?? Infinity, arrival?.submit ?? Infinity, wake);
    if (first !== null && first.ends <= now) {
      engine.finished(idOf(first.job), now * 1000);
      active.delete(idOf(first.job));
      jct.set(first.job.id, now - first.job.submit);
      if (first.job.id >= from && first.job.id < to) waited++;
    } else if (arrival !== undefined && arrival.submit <= now) {
      next++;
      const run: Run = { job: arrival, made: 0, ran: 0, speed: 0, workFrom: 0, ends: Infinity };
      active.set(idOf(arrival), run);
      engine.submit(inputOf(run, order));
    }
    wake = decide(engine, active, order, now);
  }
  let sum = 0;
  for (let id = from; id < to; id++) sum += jct.get(id)!;
  return sum / (to - from) / 3600;
}

/** Cycles until nothing more has to leave. Gives when to look again, in seconds. */
function decide(engine: PlacementEngine, active: ReadonlyMap<string, Run>, order: "arrival" | Knowledge, now: number): number {
  for (const [id, run] of active) if (run.ends < Infinity) engine.checkpointed(id, now * 1000);
  for (;;) {
    const { starts, evictions, moves, wakeAt } = engine.cycle(now * 1000);
    for (const start of starts) {
      const run = active.get(start.job)!;
      run.speed = run.job.speed[Number(start.members[0]!.node[0])]!;
      run.workFrom = now + START;
      run.ends = run.workFrom + (run.job.steps - run.made) / run.speed;
    }
    if (evictions.length + moves.length === 0) return wakeAt === null ? Infinity : Math.max(wakeAt / 1000, now + 1e-3);
    for (const { job: id } of [...evictions, ...moves]) {
      const run = active.get(id)!;
      const worked = Math.max(0, now - run.workFrom);
      run.made += worked * run.speed;
      run.ran += worked;
      run.ends = Infinity;
      engine.updateJob(inputOf(run, order));
      engine.released(id, now * 1000);
    }
  }
}

function earliest(runs: Iterable<Run>): Run | null {
  let best: Run | null = null;
  for (const run of runs) if (run.ends < Infinity && (best === null || run.ends < best.ends)) best = run;
  return best;
}

function idOf(job: GavelJob): string {
  return `j${job.id}`;
}

function inputOf({ job, made, ran }: Run, order: "arrival" | Knowledge): JobInput {
  return {
    id: idOf(job),
    queue: "q",
    priority: 0,
    preemptible: true,
    submittedAt: job.submit * 1000,
    roles: [{ name: "worker", nodes: { min: job.devices, max: job.devices }, resources: { accelerators: 1 } }],
    variants: GAVEL_KINDS.flatMap((kind, i) => (job.speed[i]! > 0 ? [{ accelerators: [kind], throughput: job.speed[i]! }] : [])),
    variantPolicy: "fastest",
    checkpoint: { writes: true },
    ran: ran * 1000,
    ...(order === "runtimes" ? { expectedDuration: Math.max(1, ((job.steps - made) / Math.max(...job.speed)) * 1000) } : {}),
  };
}

function gavelCluster(order: "arrival" | Knowledge): PlacementEngine {
  const engine = createEngine({ policy: order === "arrival" ? { backfill: "greedy" } : {} });
  engine.putQueue(order === "arrival" ? { id: "q", withinQueue: "never" } : { id: "q", order: "least_service" });
  for (const [k, kind] of GAVEL_KINDS.entries()) {
    for (let i = 0; i < GAVEL_DEVICES; i++) {
      engine.putNode({ id: `${k}-${i}`, pool: kind, accelerator: kind, devices: 1, cpuMillis: 1000, memoryBytes: 1, schedulable: true });
    }
  }
  return engine;
}
