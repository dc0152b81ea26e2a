import { planRun } from '../../../placement/src/ordering/run-plan.ts';
import { ServiceOrder } from '../../../placement/src/ordering/service-order.ts';
import type { ServiceOrderOptions } from '../../../placement/src/ordering/service-order.ts';
import { WaitingJobs } from '../../../placement/src/ordering/waiting-jobs.ts';
import type { Scheduler, SimJob } from './simulation.ts';

/** Waiting jobs age; their keys are taken anew this often, in seconds. */
const REKEY_EVERY = 600;

/** Muster's own order and run plan, the code that the scheduler service uses. */
export function muster(options: ServiceOrderOptions): Scheduler {
  const order = new ServiceOrder(options);
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
