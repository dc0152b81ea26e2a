import type { JobRecord } from "./jobs.ts";
import { chargesOf, dropMembers, requeue, vacate } from "./places.ts";
import type { State } from "./state.ts";

/** A running job must go: its places count as free from now on, for those who await its leaving. */
export function evict(state: State, job: JobRecord, forJob: string): void {
  const placement = job.placement!;
  vacate(state, job);
  job.state = "stopping";
  job.stoppingFor = forJob;
  job.leaving = placement;
  state.leaving.add(job);
}

/** An eviction, move or shrink that was not committed: the job runs where it ran. */
export function unevict(state: State, job: JobRecord): void {
  const before = job.leaving!;
  for (const other of state.reserved) if (other !== job && other.awaits.has(job)) requeue(state, other);
  const back = job.larger ?? before;
  vacate(state, job);
  left(state, job);
  job.placement = back;
  state.placer.take(job.placement);
  job.state = "running";
  state.running.add(job, state.learned);
  job.usage = state.quota.usageOf(chargesOf(job.placement));
  state.quota.charge(job.queue, job.usage);
  state.holding.add(job);
}

/** These members must go; the others keep their places and close ranks. Its places count as free from now on. */
export function shrink(state: State, job: JobRecord, going: readonly { role: string; rank: number }[], forJob: string): void {
  const { variant, roles } = job.placement!;
  const before = roles.map(({ role, partition, members }) => ({ role, partition, members: [...members] }));
  dropMembers(state, job, going);
  const leaving = before.map(({ role, partition, members }, i) => ({
    role,
    partition,
    members: members.filter((member) => !roles[i]!.members.includes(member)),
  }));
  job.larger = { variant, roles: before };
  job.leaving = { variant, roles: leaving.filter((placed) => placed.members.length > 0) };
  job.stoppingFor = forJob;
  state.leaving.add(job);
  job.resized = true;
}

/** A growth that was not committed: the added members go again. */
export function ungrow(state: State, job: JobRecord, { members, startedAt }: NonNullable<JobRecord["grownFrom"]>): void {
  const { role, members: all } = job.placement!.roles[0]!;
  dropMembers(
    state,
    job,
    all.slice(members).map((_, i) => ({ role: role.name, rank: members + i })),
  );
  job.resized = false;
  job.grownFrom = null;
  state.running.remove(job);
  job.startedAt = startedAt;
  state.running.add(job, state.learned);
}

/** The workers of a stopping, moving or shrinking job have left. */
export function left(state: State, job: JobRecord): void {
  state.leaving.remove(job);
  job.leaving = null;
  job.larger = null;
  job.stoppingFor = null;
  for (const other of state.reserved) other.awaits.delete(job);
  // As when one begins to run.
  state.quota.version++;
}

/** Workers of a job are confirmed dead: it waits again, or starts in the place kept for it. */
export function release(state: State, job: JobRecord): void {
  const { state: before, resized } = job;
  if (job.leaving !== null) left(state, job);
  else if (!resized) {
    requeue(state, job);
    return;
  }
  if (before === "stopping") requeue(state, job);
  else if (before === "running") {
    // At its new size it starts where it is.
    job.resized = false;
    job.grownFrom = null;
    state.running.remove(job);
    job.state = "reserved";
    state.reserved.add(job);
  }
}
