import { createEngine, type PlacementEngine } from "@muster/placement";
import { GAVEL_DEVICES, GAVEL_KINDS, GAVEL_WINDOW, type GavelJob } from "./workload.ts";

/** What a start costs, in seconds. */
const START = 30;

/**
 * The placement engine itself on Gavel's jobs: told the speeds, in order of arrival, each job on one kind from its start to
 * its end. Gives the average JCT of the window in hours.
 */
export function runEngine(jobs: readonly GavelJob[]): number {
  const engine = gavelCluster();
  const ends: { at: number; job: GavelJob }[] = [];
  const jct = new Map<number, number>();
  const { from, to } = GAVEL_WINDOW;
  let next = 0;
  let waited = 0;
  while (waited < to - from) {
    const end = ends[0];
    const arrival = jobs[next];
    let now: number;
    if (end !== undefined && (arrival === undefined || end.at <= arrival.submit)) {
      ends.shift();
      now = end.at;
      engine.finished(idOf(end.job), now * 1000);
      jct.set(end.job.id, now - end.job.submit);
      if (end.job.id >= from && end.job.id < to) waited++;
    } else {
      now = arrival!.submit;
      next++;
      submit(engine, arrival!);
    }
    for (const start of engine.cycle(now * 1000).starts) {
      const job = jobs[Number(start.job.slice(1))]!;
      const at = now + START + job.steps / job.speed[Number(start.members[0]!.node[0])]!;
      const place = ends.findIndex((other) => other.at > at);
      ends.splice(place < 0 ? ends.length : place, 0, { at, job });
    }
  }
  let sum = 0;
  for (let id = from; id < to; id++) sum += jct.get(id)!;
  return sum / (to - from) / 3600;
}

function idOf(job: GavelJob): string {
  return `j${job.id}`;
}

function submit(engine: PlacementEngine, job: GavelJob): void {
  engine.submit({
    id: idOf(job),
    queue: "q",
    priority: 0,
    preemptible: false,
    submittedAt: job.submit * 1000,
    roles: [{ name: "worker", nodes: { min: job.devices, max: job.devices }, resources: { accelerators: 1 } }],
    variants: GAVEL_KINDS.flatMap((kind, i) => (job.speed[i]! > 0 ? [{ accelerators: [kind], throughput: job.speed[i]! }] : [])),
    variantPolicy: "fastest",
  });
}

function gavelCluster(): PlacementEngine {
  const engine = createEngine({ policy: { backfill: "greedy", reclaim: "never", consolidation: false } });
  engine.putQueue({ id: "q", withinQueue: "never" });
  for (const [k, kind] of GAVEL_KINDS.entries()) {
    for (let i = 0; i < GAVEL_DEVICES; i++) {
      const node = { id: `${k}-${i}`, pool: kind, accelerator: kind, devices: 1, cpuMillis: 1000, memoryBytes: 1, schedulable: true };
      engine.putNode(node);
    }
  }
  return engine;
}
