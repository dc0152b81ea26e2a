import type { OrderedJob } from "@muster/placement/ordering/job";
import { planRun } from "@muster/placement/ordering/run-plan";
import { ServiceOrder } from "@muster/placement/ordering/service-order";
import type { Knowledge } from "@muster/placement/ordering/service-order";
import { WaitingJobs } from "@muster/placement/ordering/waiting-jobs";
import { Guaranteed } from "./quotas.ts";
import type { Scheduler, SimJob } from "./simulation.ts";

/** Waiting jobs age; their keys are taken anew this often, in seconds. */
const REKEY_EVERY = 600;

/** Puts all that no tenant is guaranteed behind all that some tenant is. */
const BEYOND = 1e15;

/**
 * Muster's order by service and its run plan (`@muster/placement/ordering`), on a floor of equal nodes.
 * @param quotas devices by tenant that are guaranteed; absent: one order for all
 */
export function muster(knowledge: Knowledge, clusterDevices: number, quotas?: ReadonlyMap<string, number>): Scheduler {
  const order = new ServiceOrder(knowledge, clusterDevices);
  const guaranteed = quotas && new Guaranteed(quotas);
  let now = 0;
  let rekeyedAt = 0;
  const keyOf = (job: OrderedJob, runs: boolean): number => order.key(job, now, runs) + (guaranteed === undefined || guaranteed.has(job) ? 0 : BEYOND);
  const waiting = new WaitingJobs((job) => keyOf(job, false));
  const byId = new Map<number, SimJob>();
  return {
    submitted(job) {
      now = job.trace.submit;
      byId.set(job.job.id, job);
      guaranteed?.add(job.job);
      waiting.add(job.job);
    },
    finished(job) {
      guaranteed?.remove(job.job);
      if (order.finished(job.job)) waiting.rekey();
    },
    nextChange: (job) => order.nextChange(job.job),
    decide(at, floor) {
      now = at;
      if (waiting.size === 0) return { preempt: [], start: [] };
      const chosen = guaranteed?.settle((job) => order.key(job, now, byId.get(job.id)!.standing !== null)) ?? false;
      if (chosen || now - rekeyedAt >= REKEY_EVERY) {
        waiting.rekey();
        rekeyedAt = now;
      }
      const running = [...floor.running].map((job) => ({ job: job.job, standing: job.standing! }));
      const plan = planRun({ nodeDevices: floor.nodeDevices, free: floor.free, running, waiting, keyOf });
      const restarted = new Set(plan.start.map(({ job }) => job));
      for (const { job } of plan.preempt) if (!restarted.has(job)) waiting.add(job);
      return {
        preempt: plan.preempt.map((r) => byId.get(r.job.id)!),
        start: plan.start.map(({ job, standing }) => ({ job: byId.get(job.id)!, standing })),
      };
    },
  };
}
