import type { DisruptionCause, Eviction, Move, Resize, Start } from "./decisions.ts";
import { lostWork, type JobRecord } from "./jobs.ts";
import { locality } from "./locality.ts";
import type { MovePlan } from "./moves.ts";
import { membersOf, occupy, startOf } from "./places.ts";
import type { Placement } from "./placement.ts";
import type { PreemptionPlan } from "./preempt.ts";
import { byService } from "./service.ts";
import type { State } from "./state.ts";
import { evict, shrink } from "./stopping.ts";
import type { Unit } from "./victims.ts";

/** What a cycle has decided so far. */
export interface Decided {
  starts: Start[];
  evictions: Eviction[];
  shrinks: Resize[];
  grows: Resize[];
  moves: Move[];
}

/** Evicts and shrinks as planned and keeps the freed places for the job. */
export function preempt(state: State, job: JobRecord, plan: PreemptionPlan, decided: Decided): void {
  const byVictim = new Map<JobRecord, Unit[]>();
  for (const unit of plan.units) byVictim.set(unit.job, [...(byVictim.get(unit.job) ?? []), unit]);
  for (const [victim, units] of byVictim) {
    const kind = plan.kinds.get(victim.queue)!;
    if (units.some((unit) => !unit.surplus)) {
      stop(state, job, units.slice(0, 1), kind, decided);
      continue;
    }
    const cause = causeOf(job, victim, kind);
    const going = units.flatMap((unit) => {
      const { role, members } = victim.placement!.roles[unit.role]!;
      return unit.holdings.map((holding) => ({ role: role.name, rank: members.indexOf(holding) }));
    });
    const all = membersOf(state, victim.placement!);
    const members = all.filter((member) => going.some((gone) => gone.role === member.role && gone.rank === member.rank));
    decided.shrinks.push({ job: victim.input.id, members, cause });
    shrink(state, victim, going, job.input.id);
  }
  state.placer.take(plan.placement);
  occupy(state, job, plan.placement, state.now, byVictim.keys());
  if (job.state === "running") decided.starts.push(startOf(state, job, locality(state.placer, job.request, plan.placement)));
}

/** Evicts whole jobs. */
export function stop(state: State, job: JobRecord, units: readonly Unit[], kind: DisruptionCause["kind"], decided: Decided): void {
  for (const { job: victim } of units) {
    const cause = causeOf(job, victim, kind);
    decided.evictions.push({ job: victim.input.id, cause, graceMs: victim.input.checkpoint?.grace ?? 0, lostWork: lostWork(victim, state.now) });
    evict(state, victim, job.input.id);
  }
}

/** Moves jobs to the homes found for them and keeps the places they leave for the job. */
export function moveTogether(state: State, job: JobRecord, plan: MovePlan, decided: Decided): void {
  const lost = plan.moves.map(({ job: moved }) => lostWork(moved, state.now));
  // All leave before any arrives: one may go where another stood.
  for (const { job: moved } of plan.moves) evict(state, moved, job.input.id);
  for (const [i, { job: moved, home }] of plan.moves.entries()) {
    state.placer.take(home);
    occupy(state, moved, home, state.now, [moved]);
    decided.moves.push({
      job: moved.input.id,
      start: startOf(state, moved, locality(state.placer, moved.request, home)),
      cause: { kind: "consolidation", forJob: job.input.id, message: `moves together with others so that ${job.input.id} fits` },
      graceMs: moved.input.checkpoint?.grace ?? 0,
      lostWork: lost[i]!,
    });
  }
  state.placer.take(plan.placement);
  occupy(
    state,
    job,
    plan.placement,
    state.now,
    plan.moves.map((move) => move.job),
  );
}

/** Moves one job, for its own sake. */
export function moveAlone(state: State, job: JobRecord, home: Placement, decided: Decided): void {
  const lost = lostWork(job, state.now);
  const { id } = job.input;
  evict(state, job, id);
  state.placer.take(home);
  occupy(state, job, home, state.now, [job]);
  const where = home.roles[0]!.partition.accelerator;
  decided.moves.push({
    job: id,
    start: startOf(state, job, locality(state.placer, job.request, home)),
    cause: { kind: "speed", forJob: id, message: `goes by speed, and moves to ${where} by what that does for it and for those who wait` },
    graceMs: job.input.checkpoint?.grace ?? 0,
    lostWork: lost,
  });
}

function causeOf(job: JobRecord, victim: JobRecord, kind: DisruptionCause["kind"]): DisruptionCause {
  const why =
    kind === "priority"
      ? job.input.priority === victim.input.priority && byService(job.queue)
        ? `it is expected to need less service than ${victim.input.id}, and queue "${job.queue.id}" goes by that`
        : `priority ${job.input.priority} goes before ${victim.input.priority} in queue "${job.queue.id}"`
      : kind === "reclaim"
        ? `queue "${job.queue.id}" takes back its own from queue "${victim.queue.id}", which uses more than it is guaranteed`
        : `queue "${victim.queue.id}" holds a larger share than queue "${job.queue.id}"`;
  return { kind, forJob: job.input.id, message: `makes room for ${job.input.id}: ${why}` };
}
