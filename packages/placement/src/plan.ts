import { explainJob } from "./explain.ts";
import { gateOf, type JobRecord } from "./jobs.ts";
import { locality } from "./locality.ts";
import type { Placement } from "./placer.ts";
import type { Usage } from "./quota.ts";
import type { State } from "./state.ts";
import type { ClusterChange, JobInput, NodeInput, Plan } from "./types.ts";

const NEVER = new Set(["no_matching_pool", "exceeds_quota", "exceeds_topology", "invalid"]);

/** Answers as if the job were submitted now, on a cluster changed as told; nothing is changed by it. */
export function planJob(state: State, input: JobInput, now: number, change: ClusterChange): Plan {
  const record = { ...state.makeRecord(input), sequence: Infinity };
  state.advance(now);
  const revert = applyChange(state, change);
  try {
    state.settle();
    const gate = gateOf(record, now);
    const placement =
      gate !== null
        ? null
        : state.placer.place(record.request, {
            allowed: (charges) => state.quota.allows(record.queue, state.quota.usageOf(charges)),
          });
    if (placement === null) {
      const explanation = explainJob(state, record);
      return { start: null, explanation, impossible: NEVER.has(explanation.reason), evictions: [] };
    }
    record.placement = placement;
    const start = state.startOf(record, locality(state.placer, record.request, placement));
    state.placer.untake(placement);
    return { start, explanation: null, impossible: false, evictions: [] };
  } finally {
    revert();
  }
}

/** Changes the cluster and gives back the way to undo it. */
function applyChange(state: State, change: ClusterChange): () => void {
  const undo: (() => void)[] = [];
  const { placer, quota } = state;
  for (const id of change.removeJobs ?? []) {
    const job: JobRecord = state.get(id);
    const placement: Placement | null = job.placement;
    const usage: Usage = job.usage;
    if (placement === null) continue;
    placer.untake(placement);
    quota.refund(job.queue, usage);
    undo.push(() => {
      placer.take(placement);
      quota.charge(job.queue, usage);
    });
  }
  const put = (node: NodeInput): void => {
    const before = state.nodeInputs.get(node.id);
    state.putNode(node);
    undo.push(() => (before === undefined ? state.removeNode(node.id) : state.putNode(before)));
  };
  for (const node of change.addNodes ?? []) put(node);
  for (const node of change.updateNodes ?? []) put(node);
  for (const id of change.removeNodes ?? []) {
    const before = state.nodeInputs.get(id);
    if (before === undefined) throw new Error(`node ${id}: not known`);
    put({ ...before, schedulable: false, health: "removed" });
  }
  return () => {
    for (const step of undo.reverse()) step();
  };
}
