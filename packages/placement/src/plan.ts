import type { Start } from "./decisions.ts";
import { couldEverStart } from "./empty-cluster.ts";
import { explainJob } from "./explain.ts";
import type { Explanation, WaitReason } from "./explanation.ts";
import type { JobInput } from "./job-input.ts";
import { gateOf, type JobRecord } from "./jobs.ts";
import { makeRecord } from "./known-jobs.ts";
import { locality } from "./locality.ts";
import { place } from "./place.ts";
import { startOf } from "./places.ts";
import { planPreemption } from "./preempt.ts";
import { crossesZones, preferenceOf } from "./preference.ts";
import type { State } from "./state.ts";
import { before } from "./waiting.ts";
import { changeCluster, type ClusterChange } from "./what-if.ts";
import { bounds } from "./windows.ts";

/** The answer to a what-if. */
export interface Plan {
  /** Where it would run if it were submitted now; null: it would wait. */
  start: Start | null;
  /** Why it would wait; null when it would start. */
  explanation: Explanation | null;
  /** True: not even with every registered node healthy and empty and every limit unused. */
  impossible: boolean;
  /** Evictions that its start would need. */
  evictions: readonly string[];
}

const NEVER = new Set(["no_matching_pool", "exceeds_quota", "exceeds_topology", "invalid"]);

/** Answers as if the job were submitted now, on a cluster changed as told; nothing is changed by it. */
export function planJob(state: State, input: JobInput, now: number, change: ClusterChange): Plan {
  const record = { ...makeRecord(state, input), sequence: Infinity };
  state.advance(now);
  const revert = changeCluster(state, change);
  try {
    state.settle();
    if (gateOf(record, now) === null && !isBehindStrict(state, record)) {
      const start = tryStart(state, record);
      if (start !== null) return { start, explanation: null, impossible: false, evictions: [] };
    }
    const explanation = explainJob(state, record);
    return { start: null, explanation, impossible: NEVER.has(explanation.reason), evictions: evictionsFor(state, record, explanation.reason) };
  } finally {
    revert();
  }
}

/** As a cycle would place it, dated reservations of others respected. */
function tryStart(state: State, record: JobRecord): Start | null {
  const cost = preferenceOf(state, record);
  const { avoid, ...within } = bounds(state, record);
  const placement = place(state.placer, crossesZones(state, record.request), {
    ...within,
    avoid: [...avoid, ...state.dated.avoidedBy(record)],
    ...(cost === null ? {} : { cost }),
  });
  if (placement === null) return null;
  record.placement = placement;
  const start = startOf(state, record, locality(state.placer, record.request, placement));
  state.placer.untake(placement);
  record.placement = null;
  return start;
}

/** Jobs that would give their places to it. */
function evictionsFor(state: State, record: JobRecord, reason: WaitReason): string[] {
  if (NEVER.has(reason) || gateOf(record, state.now) !== null) return [];
  const plan = planPreemption(state, record, true);
  return plan === null ? [] : [...new Set(plan.units.map((unit) => unit.job.input.id))];
}

/** In a strict queue, an earlier job waits for the same hardware. */
function isBehindStrict(state: State, record: JobRecord): boolean {
  if (record.queue.input.order !== "strict") return false;
  const wanted = new Set(state.placer.partitionsFor(record.request));
  for (const lane of state.lanes.get(record.queue)?.values() ?? []) {
    const head = lane.head();
    if (
      head !== null &&
      before(head, record) &&
      couldEverStart(state, lane) &&
      state.placer.partitionsFor(lane.request).some((partition) => wanted.has(partition))
    )
      return true;
  }
  return false;
}
