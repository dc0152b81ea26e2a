import { dequeue, enqueue } from "./enqueue.ts";
import type { JobInput } from "./job-input.ts";
import { NOBODY, NONE_LOST, type JobRecord } from "./jobs.ts";
import { vacate } from "./places.ts";
import { requestKey, resolveRequest } from "./request.ts";
import type { State } from "./state.ts";
import { left } from "./stopping.ts";

/** Makes a record without letting it wait anywhere. */
export function makeRecord(state: State, input: JobInput): JobRecord {
  const queue = state.quota.queues.get(input.queue);
  if (queue === undefined) throw new Error(`job ${input.id}: queue "${input.queue}" is not known`);
  const named = [...state.windows.values()].filter((window) => window.jobs?.includes(input.id) === true).map((window) => window.id);
  const key = requestKey(input, named, state.learned.quantile(input.jobClass, 0.5));
  const record: JobRecord = {
    input,
    sequence: ++state.sequence,
    queue,
    request: state.requests.of(key) ?? resolveRequest(input, state.levels, key),
    state: "waiting",
    entry: null,
    placement: null,
    usage: [],
    units: null,
    startedAt: 0,
    need: 0,
    lastCheckpointAt: 0,
    stoppingFor: null,
    leaving: null,
    awaits: NOBODY,
    larger: null,
    resized: false,
    grownFrom: null,
    lost: NONE_LOST,
    estimate: null,
    reason: "pending_evaluation",
    reasonSince: state.now,
    evaluatedAt: 0,
  };
  record.need = state.service.key(record, state.now);
  return record;
}

export function submit(state: State, input: JobInput): void {
  if (state.jobs.has(input.id)) throw new Error(`job ${input.id}: already known`);
  const job = makeRecord(state, input);
  state.requests.retain(job.request);
  state.jobs.set(input.id, job);
  state.jobsOfQueue.get(job.queue)!.add(job);
  state.waiting++;
  state.placer.observe(job.request);
  enqueue(state, job);
}

export function updateJob(state: State, input: JobInput): void {
  const job = state.get(input.id);
  const fresh = makeRecord(state, input);
  dequeue(state, job);
  state.requests.retain(fresh.request);
  state.requests.release(job.request);
  if (fresh.queue !== job.queue) {
    state.jobsOfQueue.get(job.queue)!.delete(job);
    state.jobsOfQueue.get(fresh.queue)!.add(job);
    if (job.state === "running") state.running.remove(job);
    if (job.usage.length > 0) {
      state.quota.refund(job.queue, job.usage);
      state.quota.charge(fresh.queue, job.usage);
    }
  }
  if (job.state === "running") state.running.remove(job);
  job.input = input;
  job.queue = fresh.queue;
  if (job.state === "running") state.running.add(job, state.learned);
  job.request = fresh.request;
  enqueue(state, job);
}

export function removeJob(state: State, id: string): void {
  const job = state.get(id);
  dequeue(state, job);
  vacate(state, job);
  if (job.leaving !== null) left(state, job);
  if (job.state === "waiting") state.waiting--;
  state.jobsOfQueue.get(job.queue)!.delete(job);
  state.requests.release(job.request);
  state.jobs.delete(id);
}
