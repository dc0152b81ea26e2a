import { gateOf, type JobRecord } from "./jobs.ts";
import type { State } from "./state.ts";
import { Lane } from "./waiting.ts";

export function enqueue(state: State, job: JobRecord): void {
  dequeue(state, job);
  if (job.state !== "waiting") return;
  const gate = gateOf(job, state.now);
  if (gate !== null) {
    state.setReason(job, gate.reason);
    if (gate.until !== null) state.timers.push({ at: gate.until, job });
    return;
  }
  state.setReason(job, "pending_evaluation");
  job.need = state.service.key(job, state.now);
  const lanes = state.lanes.get(job.queue)!;
  let lane = lanes.get(job.request);
  if (lane === undefined) {
    lane = new Lane(job.queue, job.request);
    lanes.set(job.request, lane);
  }
  lane.add(job);
}

export function dequeue(state: State, job: JobRecord): void {
  const lane = job.entry?.lane;
  if (lane === undefined) return;
  lane.remove(job);
  if (lane.size === 0) state.lanes.get(lane.queue)!.delete(lane.request);
}
