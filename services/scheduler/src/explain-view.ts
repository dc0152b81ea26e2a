import type { ExplainView, JobState, PlanView, ResolvedJobSpec, WaitReason } from "@muster/model";
import type { Explanation, JobInput, Plan, RoleInput } from "@muster/placement";

/* What the engine says → what the API shows. Pure. */

const NEXT_STEPS: Record<WaitReason, string> = {
  held: "Release it: muster job release JOB.",
  invalid: "Cancel it, and submit a spec that the message asks for.",
  no_matching_pool: "Ask for an accelerator or a pool that exists (muster pool list), or register one.",
  queue_paused: "Ask whoever paused the queue, or submit to another one.",
  dependency: "Look at the jobs that it waits for: muster job get JOB.",
  start_time: "Nothing: it starts when its time has come.",
  exceeds_quota: "Ask for less, or let an operator raise the queue's quota or borrowing limit.",
  exceeds_topology: "Ask for smaller segments, or for a wider level of the fabric, or make them preferred.",
  quota_exhausted: "Wait for jobs of this queue to end, or let an operator raise its quota.",
  behind_higher_priority: "Wait for the jobs ahead, or raise its priority: muster job update JOB --priority high.",
  insufficient_capacity: "Wait for running jobs to end, or ask for less.",
  topology_fragmented: "Wait, or make its segments preferred instead of required.",
  nodes_unhealthy: "Look at the nodes that are out of service: muster node list.",
  waiting_for_preemption: "Nothing: it starts when the jobs that give way have stopped.",
  restart_backoff: "Nothing: it starts again when the pause is over.",
  pending_evaluation: "Nothing: it is looked at within moments.",
};

/** Where nothing is asked of the fabric, it is simply too much. */
const TOO_MUCH = "Ask for fewer or smaller nodes, or register more of them.";

type Body = Omit<ExplainView, "job" | "state">;

/** Said instead of the engine's words, where what keeps the job is nothing that the engine is told of. */
export interface Instead {
  reason: WaitReason;
  message: string;
  nextStep: string;
}

/** An array's element waits for its turn. */
export function waitsForTurn(explanation: Explanation, { active, limit }: { active: number; limit: number }): Instead {
  return {
    reason: explanation.reason,
    message: `at most ${limit} elements of its array run at once; ${active} do`,
    nextStep: "Nothing: it starts when one of them has ended.",
  };
}

/** What passes by itself once others end is not judged while nothing is started at all. */
const PASSING: ReadonlySet<WaitReason> = new Set([
  "quota_exhausted",
  "behind_higher_priority",
  "insufficient_capacity",
  "topology_fragmented",
  "nodes_unhealthy",
  "waiting_for_preemption",
  "pending_evaluation",
]);

/** Starts are paused; undefined where the job would not start anyway. */
export function waitsForStarts(explanation: Explanation, why: string): Instead | undefined {
  if (!PASSING.has(explanation.reason)) return undefined;
  return {
    reason: "pending_evaluation",
    message: `no job is started at the moment: ${why}`,
    nextStep: "Nothing: it is looked at once starts go on. If that lasts: muster cluster get, muster node list -o wide.",
  };
}

export function explainBody(explanation: Explanation, input: JobInput, job: string, instead?: Instead): Body {
  const { estimate } = explanation;
  return {
    reason: instead?.reason ?? explanation.reason,
    message: instead?.message ?? explanation.message,
    since: iso(explanation.since),
    evaluated_at: iso(explanation.evaluatedAt),
    need: needOf(input),
    free: explanation.free.map((pool) => ({
      pool: pool.pool,
      accelerator: pool.accelerator,
      devices: pool.freeDevices,
      whole_nodes: pool.freeNodes,
      largest_gang: explanation.largestGangs.filter((gang) => gang.pool === pool.pool).map((gang) => ({ segment: gang.segmentNodes, nodes: gang.members })),
    })),
    filtered: explanation.filtered.map((one) => ({ why: one.why, count: one.nodes, sample_nodes: [...one.sampleNodes] })),
    blocks: explanation.blocks.map((block) => ({ ...block })),
    ahead: { count: explanation.ahead.jobs, devices: Math.ceil(explanation.ahead.devices), top: [...explanation.ahead.top] },
    would_fit_if: [...explanation.wouldFitIf],
    next_step: instead?.nextStep ?? nextStep(explanation.reason, input).replaceAll("JOB", job),
    eta: estimate.p50 !== null && estimate.p90 !== null ? { p50: iso(estimate.p50), p90: iso(estimate.p90), basis: estimate.basis } : null,
  };
}

function nextStep(reason: WaitReason, { segments = [], within }: JobInput): string {
  return reason === "exceeds_topology" && segments.length === 0 && within === undefined ? TOO_MUCH : NEXT_STEPS[reason];
}

/** For a job that does not wait. */
export function notWaiting(job: string, state: JobState, message: string, now: number): ExplainView {
  return {
    job,
    state,
    reason: null,
    message,
    since: null,
    evaluated_at: iso(now),
    need: [],
    free: [],
    filtered: [],
    blocks: [],
    ahead: { count: 0, devices: 0, top: [] },
    would_fit_if: [],
    next_step: "Nothing: it does not wait for a place.",
    eta: null,
  };
}

export function planBody(resolved: ResolvedJobSpec, plan: Plan, input: JobInput, poolOf: (node: string) => string | undefined): PlanView {
  const { start } = plan;
  return {
    fits_now: start !== null,
    could_ever_run: !plan.impossible,
    resolved,
    placement: start && {
      variant: start.variant,
      pool: [...new Set(start.members.map((member) => poolOf(member.node) ?? ""))],
      workers: start.members.map((member) => ({ worker: `${member.role}/${member.rank}`, node: member.node, devices: [...member.devices] })),
    },
    explanation: plan.explanation && explainBody(plan.explanation, input, input.id),
    gives_way: { count: plan.evictions.length, jobs: [...plan.evictions] },
  };
}

function needOf(input: JobInput): Body["need"] {
  const variants = input.variants && input.variants.length > 0 ? input.variants : [{}];
  return variants.flatMap((variant, index) =>
    input.roles.map((role: RoleInput) => {
      const overlay = variant.roles?.[role.name];
      const asked = { ...role.resources, ...overlay?.resources };
      return {
        variant: index,
        role: role.name,
        nodes: (overlay?.nodes ?? role.nodes).min,
        accelerator: (role.accelerators ?? variant.accelerators)?.join(" or ") ?? null,
        pool: (role.pools ?? variant.pools)?.join(" or ") ?? null,
        accelerators_per_node: asked.accelerators ?? 0,
        share: asked.share ?? 0,
        cpus: (asked.cpuMillis ?? 0) / 1000,
        memory: asked.memoryBytes ?? 0,
      };
    }),
  );
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
