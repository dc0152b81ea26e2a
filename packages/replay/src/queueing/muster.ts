import { createEngine } from "@muster/placement";
import type { JobInput, MemberPlacement, Policy } from "@muster/placement";
import type { Knowledge } from "@muster/placement/ordering/service-order";
import type { Standing } from "./floor.ts";
import type { Scheduler, SimJob } from "./simulation.ts";

/**
 * Stopping and starting costs what the trace says, and loses nothing else: jobs go on from where they were stopped. They are left
 * alone for twice the dearest start, as one that is stopped before it has got on never ends.
 */
const POLICY: Partial<Policy> = { protectedRuntimeMs: 120_000 };

/**
 * The placement engine itself, the code of the scheduler, on a floor of equal nodes: queues go by least service. It is told
 * of a job's run time only what the class allows.
 * @param quotas devices by tenant that are guaranteed, each tenant in a queue of its own, the rest lent to whoever asks first and
 * taken back for them alone; absent: one queue for all
 */
export function muster(knowledge: Knowledge, nodes: number, nodeDevices: number, quotas?: ReadonlyMap<string, number>): Scheduler {
  const engine = createEngine({ policy: quotas === undefined ? POLICY : { ...POLICY, reclaim: "nominal" } });
  for (let n = 0; n < nodes; n++) {
    engine.putNode({ id: String(n), pool: "floor", accelerator: "gpu", devices: nodeDevices, cpuMillis: 1, memoryBytes: 1, schedulable: true });
  }
  if (quotas === undefined) engine.putQueue({ id: "all", order: "least_service" });
  for (const [id, devices] of quotas ?? []) {
    engine.putQueue({ id, order: "least_service", quotas: [{ resource: "accelerators", accelerator: "gpu", nominal: devices * 1000 }] });
  }
  const queueOf = (job: SimJob): string => (quotas === undefined ? "all" : job.trace.tenant);
  const byId = new Map<string, SimJob>();
  let time = 0;
  let wake = Infinity;
  return {
    submitted(job) {
      const input = inputOf(job, knowledge, queueOf(job), nodeDevices);
      byId.set(input.id, job);
      engine.submit(input);
    },
    finished(job) {
      engine.finished(String(job.job.id), time * 1000);
      byId.delete(String(job.job.id));
    },
    began: (now) => void (time = now),
    wakeAt: () => wake,
    decide(now, floor) {
      for (const job of floor.running) engine.checkpointed(String(job.job.id), now * 1000);
      const stopped = new Set<SimJob>();
      const started = new Map<SimJob, Standing>();
      for (;;) {
        const { starts, evictions, moves, wakeAt } = engine.cycle(now * 1000);
        for (const start of starts) started.set(byId.get(start.job)!, standingOf(start.members));
        wake = wakeAt === null ? Infinity : wakeAt / 1000;
        if (evictions.length + moves.length === 0) break;
        for (const { job: id } of [...evictions, ...moves]) {
          const job = byId.get(id)!;
          stopped.add(job);
          engine.updateJob(inputOf(job, knowledge, queueOf(job), nodeDevices));
          engine.released(id, now * 1000);
        }
      }
      return { preempt: [...stopped], start: [...started].map(([job, standing]) => ({ job, standing })) };
    },
  };
}

function inputOf({ job, trace }: SimJob, knowledge: Knowledge, queue: string, nodeDevices: number): JobInput {
  const members = Math.ceil(trace.devices / nodeDevices);
  const each = trace.devices / members;
  return {
    id: String(job.id),
    queue,
    priority: 0,
    preemptible: true,
    submittedAt: trace.submit * 1000,
    roles: [{ name: "worker", nodes: { min: members, max: members }, resources: { accelerators: each } }],
    checkpoint: { writes: true },
    ran: job.ran * 1000,
    ...(knowledge === "runtimes" ? { expectedDuration: Math.max(1, (trace.runTime - job.ran) * 1000) } : {}),
    ...(knowledge === "limits" && trace.limit !== undefined ? { timeLimit: Math.max(1, (trace.limit - job.ran) * 1000) } : {}),
  };
}

function standingOf(members: readonly MemberPlacement[]): Standing {
  return { nodes: members.map(({ node }) => Number(node)), devices: members.map(({ devices }) => devices.length) };
}
