import { planRun } from "@muster/placement/ordering/run-plan";
import { ServiceOrder } from "@muster/placement/ordering/service-order";
import type { Knowledge } from "@muster/placement/ordering/service-order";
import { WaitingJobs } from "@muster/placement/ordering/waiting-jobs";
import type { Scheduler, SimJob } from "./simulation.ts";

/** Waiting jobs age; their keys are taken anew this often, in seconds. */
const REKEY_EVERY = 600;

/** Muster's own order and run plan, the code that the scheduler service uses. */
export function muster(knowledge: Knowledge, clusterDevices: number): Scheduler {
  const order = new ServiceOrder(knowledge, clusterDevices);
  let now = 0;
  let rekeyedAt = 0;
  const waiting = new WaitingJobs((job) => order.key(job, now, false));
  const byId = new Map<number, SimJob>();
  return {
    submitted(job) {
      now = job.trace.submit;
      byId.set(job.job.id, job);
      waiting.add(job.job);
    },
    finished(job) {
      if (order.finished(job.job)) waiting.rekey();
    },
    nextChange: (job) => order.nextChange(job.job),
    decide(at, floor) {
      now = at;
      if (waiting.size === 0) return { preempt: [], start: [] };
      if (now - rekeyedAt >= REKEY_EVERY) {
        waiting.rekey();
        rekeyedAt = now;
      }
      const running = [...floor.running].map((job) => ({ job: job.job, standing: job.standing! }));
      const keyOf = order.key.bind(order);
      const plan = planRun({ nodeDevices: floor.nodeDevices, free: floor.free, running, waiting, keyOf: (job, runs) => keyOf(job, now, runs) });
      const restarted = new Set(plan.start.map(({ job }) => job));
      for (const { job } of plan.preempt) if (!restarted.has(job)) waiting.add(job);
      return {
        preempt: plan.preempt.map((r) => byId.get(r.job.id)!),
        start: plan.start.map(({ job, standing }) => ({ job: byId.get(job.id)!, standing })),
      };
    },
  };
}
