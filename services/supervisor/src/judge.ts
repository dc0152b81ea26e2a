import {
  badNodeVerdict,
  classify,
  decidePreflight,
  decideRestart,
  describeStacks,
  escalate,
  evaluateGang,
  failedByItself,
  HANG_SIGNATURE,
  hangVerdict,
  isFinal,
  nextJobPlace,
  PREFLIGHT,
  RULES_VERSION,
  ruleTable,
  shadowMatches,
  stragglerVerdict,
  tellsOfDevice,
  type Climb,
  type Ending,
  type JobEvent,
  type PreflightReport,
  type ProcessStack,
  type RestartDecision,
  type Verdict,
  type WorkerFacts,
} from "@muster/lifecycle";
import type { FaultRule } from "@muster/model";
import {
  appendEvents,
  attemptKey,
  changeAttempts,
  changeJobs,
  dropNewestCheckpoint,
  giveUpSealing,
  lockGangs,
  readCommitted,
  readFaultRules,
  readMembers,
  recordFaults,
  reopenAttempts,
  releaseEnded,
  settleDependencies,
  stopAttempts,
  suspectNodes,
  together,
  type AttemptChange,
  type AttemptId,
  type Client,
  type Found,
  type GangRow,
  type JobChange,
  type MemberRow,
  type NewEvent,
  type Outcome,
  type Reopened,
  type SeenFault,
  type StopOrder,
  type Suspect,
} from "@muster/store";
import { decideComebacks, type Decided } from "./comebacks.ts";

const ACTOR = "supervisor";

/** Seconds after which a job that holds its nodes looks for a replacement again though nobody told of a change. */
export const LOOK_AGAIN = 10;

/** Seconds in which the rest of a failed gang may still show what really happened, before it is killed. */
const JUDGING_WINDOW = 1;

/** A first death that tells its cause by itself: no need to wait for the others. */
const DECISIVE = new Set(["do_not_retry", "node_lost", "out_of_memory", "killed", "start_refused"]);

/** A job that is not started again before some seconds have passed. */
export interface Backoff {
  job: string;
  seconds: number;
}

interface Judgement {
  jobs: JobChange[];
  attempts: AttemptChange[];
  events: NewEvent[];
  outcomes: Outcome[];
  stops: StopOrder[];
  release: AttemptId[];
  superseded: AttemptId[];
  rollbacks: string[];
  suspects: Suspect[];
  faults: SeenFault[];
  comebacks: Judged[];
  reopened: Reopened[];
  /** Jobs that were looked at and go on holding their nodes. */
  holding: number;
}

/** A failure with its cause and what the policy says. */
interface Judged {
  gang: GangRow;
  members: readonly MemberRow[];
  verdict: Verdict;
  decision: RestartDecision;
  /** Nodes that the next attempt leaves out, each with why it is suspect. */
  exclude: { node: string; reason: string }[];
  shadows: ReturnType<typeof shadowMatches>;
}

export interface JudgedAttempts {
  backoffs: Backoff[];
  /** Any of them was other than a job that goes on holding its nodes. */
  changed: boolean;
}

/**
 * Reads the truth about these attempts and takes the next step of each, in the caller's transaction. Level-triggered: asked
 * again with nothing new, it changes nothing.
 */
export async function judgeAttempts(client: Client, ids: readonly AttemptId[]): Promise<JudgedAttempts> {
  if (ids.length === 0) return { backoffs: [], changed: false };
  const unique = [...new Map(ids.map((id) => [attemptKey(id), id])).values()];
  const gangs = await lockGangs(client, unique);
  const members = Map.groupBy(await readMembers(client, unique), attemptKey);
  const failing = gangs.filter((gang) => gang.state === "recovering");
  const committed = failing.length > 0 ? await readCommitted(client, failing) : new Set<string>();
  const rules = failing.length > 0 ? await readFaultRules(client) : [];
  const out: Judgement = {
    jobs: [],
    attempts: [],
    events: [],
    outcomes: [],
    stops: [],
    release: [],
    superseded: [],
    rollbacks: [],
    suspects: [],
    faults: [],
    comebacks: [],
    reopened: [],
    holding: 0,
  };
  for (const gang of gangs) judgeGang(gang, members.get(attemptKey(gang)) ?? [], committed.has(gang.job), rules, out);
  const decided = await decideComebacks(
    client,
    out.comebacks.map(({ gang: { job, incarnation, attempt }, decision, exclude }) => ({
      job,
      incarnation,
      attempt,
      backoff: decision.backoff,
      exclude: exclude.map(({ node }) => node),
    })),
  );
  for (const judged of out.comebacks) settleFailure(judged, decided.get(attemptKey(judged.gang)), out);
  await together(client, [
    () => changeJobs(client, out.jobs),
    () => changeAttempts(client, out.attempts),
    () => stopAttempts(client, out.stops),
    () => giveUpSealing(client, out.superseded),
    () => settleDependencies(client, out.outcomes),
  ]);
  for (const job of out.rollbacks) await dropNewestCheckpoint(client, job);
  await suspectNodes(client, out.suspects);
  await recordFaults(client, out.faults);
  const released = await releaseEnded(client, [...out.attempts.filter((change) => change.state === "ended"), ...out.release]);
  const late = new Set(out.release.map(attemptKey));
  const projects = new Map(gangs.map((gang) => [gang.job, gang.project]));
  for (const [key, { job, attempt }] of new Map(released.map((one) => [attemptKey(one), one]))) {
    if (late.has(key)) out.events.push({ kind: "attempt.released", actor: ACTOR, project: projects.get(job) ?? null, job, attempt });
  }
  // after all that goes by a job's current attempt, and after what the last ones held is free
  await reopenAttempts(client, out.reopened);
  await appendEvents(client, out.events);
  const backoffs = out.jobs.flatMap(({ job, notBeforeIn }) => (notBeforeIn !== undefined && notBeforeIn > 0 ? [{ job, seconds: notBeforeIn }] : []));
  return { backoffs, changed: gangs.length > out.holding };
}

function judgeGang(gang: GangRow, members: readonly MemberRow[], committed: boolean, rules: readonly FaultRule[], out: Judgement): void {
  if (!gang.current || gang.attempt_state === "ended") {
    // an attempt that was superseded gives back what it held as the end of each worker is confirmed
    out.release.push(gang);
    return;
  }
  const facts = members.map((member) => toFacts(gang, member));
  const unconfirmed = facts.filter((worker) => worker.unconfirmed);
  const evaluation = evaluateGang(gang.attempt_state, facts);
  switch (evaluation.kind) {
    case "wait":
      if (gang.due) onDue(gang, out);
      return;
    case "all_up":
      return move(gang, "all_up", out, { started: true, dueIn: remaining(gang) }, { state: "running" });
    case "all_done":
      return move(gang, "all_done", out, { started: true, ranSeconds: gang.running_for ?? 0 }, { state: "ended", outcome: "succeeded" });
    case "failed":
      return onFailure(gang, members, evaluation.failed, out);
    case "down":
      if (unconfirmed.length > 0) {
        // killed as soon as its node can be told; until then it keeps its devices
        out.stops.push({ job: gang.job, mode: "kill", grace: 0 });
        out.superseded.push(gang);
      }
      return gang.state === "recovering"
        ? afterFailure(gang, members, committed, rules, out)
        : move(
            gang,
            "gang_down",
            out,
            { ranSeconds: gang.running_for ?? 0, ...timeOver(gang) },
            { state: "ended", outcome: unconfirmed.length > 0 ? "superseded" : "stopped" },
          );
  }
}

/** A worker failed by itself: the gang comes down. What it was is judged when all is known. */
function onFailure(gang: GangRow, members: readonly MemberRow[], failed: readonly WorkerFacts[], out: Judgement): void {
  const names = new Set(failed.map((worker) => worker.worker));
  const endings = members.filter((member) => names.has(member.worker)).map((member) => toEnding(gang, member));
  const first = classify(endings, gang.rules);
  out.events.push({
    kind: "worker.failed",
    actor: ACTOR,
    project: gang.project,
    job: gang.job,
    attempt: gang.attempt,
    node: first.node,
    data: { workers: [...names], exit_code: first.exitCode, signal: first.signal, seen_as: first.rule, evidence: first.evidence },
  });
  const decisive = DECISIVE.has(first.rule) || (tellsOfDevice(first.rule) && first.action === "exclude_node") || names.size === members.length;
  move(gang, "failed_worker", out, { dueIn: decisive ? null : JUDGING_WINDOW }, { state: "stopping" });
  if (decisive) out.stops.push({ job: gang.job, mode: "kill", grace: 0 });
}

/** The failed gang is down: name the cause, charge it to its ledger, and go on or give up. */
function afterFailure(gang: GangRow, members: readonly MemberRow[], progressed: boolean, rules: readonly FaultRule[], out: Judgement): void {
  const endings = members.filter((member) => tellsSomething(gang, member)).map((member) => toEnding(gang, member));
  const seen = gang.found
    ? foundVerdict(gang.found, gang.previous_signature === HANG_SIGNATURE && !progressed)
    : classify(endings, gang.rules, ruleTable(rules));
  const checked = seen.rule === PREFLIGHT ? decidePreflight(seen, members.map(toReport), progressed ? 0 : gang.preflights) : undefined;
  const verdict = checked?.verdict ?? escalate(seen, gang.previous_node, progressed);
  const decision = decideRestart({
    verdict,
    ledgers: { user: gang.user_failures, infrastructure: gang.infrastructure_failures, unknown: gang.unknown_failures },
    maxRestarts: gang.max_restarts,
    progressed,
    previousSignature: gang.previous_signature,
  });
  const named = verdict.node === null ? [] : [{ node: verdict.node, evidence: verdict.evidence[0] ?? verdict.rule }];
  const exclude =
    verdict.action === "exclude_node" ? (checked?.bad ?? named).map(({ node, evidence }) => ({ node, reason: `${verdict.message}: ${evidence}` })) : [];
  const judged = { gang, members, verdict, decision, exclude, shadows: shadowMatches(endings, rules) };
  if (decision.restart) out.comebacks.push(judged);
  else settleFailure(judged, undefined, out);
}

/** What becomes of a judged failure: given up, or back by the rung that the ladder has for it. */
function settleFailure({ gang, members, verdict, decision, exclude, shadows }: Judged, back: Decided | undefined, out: Judgement): void {
  if (back?.climb.rung === "hold") return keepHolding(gang, back.climb, out);
  for (const match of shadows)
    out.events.push({
      kind: "rule.would_match",
      actor: ACTOR,
      project: gang.project,
      job: gang.job,
      attempt: gang.attempt,
      node: match.node,
      data: { ...match, instead_of: verdict.rule },
    });
  const superseded = members.some((member) => isUnconfirmed(gang, member));
  const failure: Record<string, unknown> = { ...toFailure(verdict, decision.why), ...(verdict.rule === PREFLIGHT && { preflights: gang.preflights + 1 }) };
  for (const one of exclude) out.suspects.push({ ...one, rule: verdict.rule, job: gang.job, certain: tellsOfDevice(verdict.rule) });
  if (verdict.action === "rollback") out.rollbacks.push(gang.job);
  out.faults.push({
    kind: gang.found?.rule === "hang" ? "hang" : "job_failure",
    severity: decision.restart ? "info" : "warning",
    node: verdict.node,
    evidence: [failure["message"] as string, ...verdict.evidence, ...describeStacks(members.flatMap(stacksOf))],
    class: verdict.class,
    rule: verdict.rule,
    action: back ? `${RUNGS[back.climb.rung]}: ${back.climb.why}` : "given up",
    attempt: gang,
  });
  if (back?.next) out.reopened.push(back.next);
  move(
    gang,
    !back ? "given_up" : back.next ? "reopened" : "gang_down",
    out,
    {
      failure,
      ledgers: decision.ledgers,
      ranSeconds: gang.running_for ?? 0,
      notBeforeIn: decision.backoff,
      notBeforeReason: "restart_backoff",
      excludeNodes: exclude.map(({ node }) => node),
    },
    { state: "ended", outcome: superseded ? "superseded" : "failed", failureClass: verdict.class, cause: failure },
    {
      class: verdict.class,
      rule: verdict.rule,
      rules_version: RULES_VERSION,
      node: verdict.node,
      worker: verdict.worker,
      evidence: verdict.evidence,
      restart: decision.restart,
      why: decision.why,
      backoff: decision.backoff,
      ...(back && { rung: back.climb.rung, rung_why: back.climb.why }),
      ...(back?.next && { nodes: [...new Set(back.next.workers.map((worker) => worker.node))], variant: back.next.variant }),
    },
  );
}

/** What the incident says that was done. */
const RUNGS = {
  in_place: "restarted in place",
  swap: "restarted with a replacement",
  shrink: "restarted smaller",
  requeue: "queued again",
} as const;

function keepHolding(gang: GangRow, { left, why }: Extract<Climb, { rung: "hold" }>, out: Judgement): void {
  if (!gang.holding || gang.due)
    out.jobs.push({ job: gang.job, state: gang.state, stopTarget: gang.stop_target, dueIn: Math.min(left, LOOK_AGAIN), holding: true });
  if (gang.holding) return void out.holding++;
  out.events.push({ kind: "job.holding", actor: ACTOR, project: gang.project, job: gang.job, attempt: gang.attempt, data: { why } });
}

function stacksOf({ worker, node, detail }: MemberRow): ProcessStack[] {
  return (detail?.stacks ?? []).map((stack) => ({ worker, node, ...stack }));
}

function foundVerdict(found: Found, repeated: boolean): Verdict {
  if (found.rule === "hang") return hangVerdict(found.evidence, repeated);
  return found.rule === "straggler" ? stragglerVerdict(found.node ?? null, found.evidence) : badNodeVerdict(found.node ?? null, found.evidence);
}

function onDue(gang: GangRow, out: Judgement): void {
  if (gang.state === "recovering") {
    out.stops.push({ job: gang.job, mode: "kill", grace: 0 });
    out.jobs.push({ job: gang.job, state: gang.state, stopTarget: null, dueIn: null });
  } else if (gang.state === "running" && gang.time_limit !== null) {
    move(gang, "time_over", out, { stopReason: "time_limit" }, { state: "stopping" });
    out.stops.push({ job: gang.job, mode: "stop", grace: gang.grace });
  }
}

/** Seconds that the job may still run; null where it has no limit. */
function remaining(gang: GangRow): number | null {
  return gang.time_limit === null ? null : Math.max(0, gang.time_limit - gang.ran_seconds);
}

function timeOver(gang: GangRow): Partial<JobChange> {
  if (gang.stop_target !== "failed") return {};
  const message = gang.stop_reason === "time_limit" ? `its time limit of ${gang.time_limit} s of running is over` : (gang.stop_reason ?? "stopped");
  return {
    failure: {
      class: "user",
      rule: gang.stop_reason ?? "stopped",
      message,
      worker: null,
      node: null,
      exit_code: null,
      signal: null,
      evidence: [],
      signature: "",
    },
  };
}

function move(
  gang: GangRow,
  event: JobEvent,
  out: Judgement,
  job: Partial<JobChange>,
  attempt: Pick<AttemptChange, "state"> & Partial<AttemptChange>,
  data: Record<string, unknown> = {},
): void {
  const next = nextJobPlace({ state: gang.state, stopTarget: gang.stop_target }, event);
  if (!next) throw new Error(`job ${gang.job} is ${gang.state}: ${event} makes no sense there`);
  const changed = next.state !== gang.state || next.stopTarget !== gang.stop_target;
  const finished = isFinal(next.state);
  if (changed || Object.keys(job).length > 0) {
    out.jobs.push({ dueIn: null, ...job, job: gang.job, state: next.state, stopTarget: next.stopTarget, finished });
  }
  out.attempts.push({ job: gang.job, incarnation: gang.incarnation, attempt: gang.attempt, ...attempt });
  if (!changed) return;
  out.events.push({
    kind: `job.${next.state}`,
    actor: ACTOR,
    project: gang.project,
    job: gang.job,
    attempt: event === "reopened" ? gang.attempt + 1 : gang.attempt,
    data: { from: gang.state, ...(next.stopTarget && { towards: next.stopTarget }), ...(attempt.outcome && { outcome: attempt.outcome }), ...data },
  });
  if (next.state === "running") out.outcomes.push({ job: gang.job, what: "started" });
  if (finished) {
    out.outcomes.push({ job: gang.job, what: next.state as "succeeded" | "failed" | "cancelled" });
  }
}

/** Alive for all we know, on a node that is lost, and its job goes on without it. */
function isUnconfirmed(gang: GangRow, member: MemberRow): boolean {
  return gang.supersedes && member.node_lost && member.state !== "exited" && member.state !== "lost";
}

function toFacts(gang: GangRow, member: MemberRow): WorkerFacts {
  return {
    worker: member.worker,
    node: member.node,
    state: member.state,
    desired: member.desired,
    exitCode: member.exit_code,
    signal: member.signal,
    oom: member.oom,
    reason: member.reason,
    unconfirmed: isUnconfirmed(gang, member),
  };
}

/** Ended by itself, or, while being killed, in a way that our kill doesn't explain, or fell silent with its node. */
function tellsSomething(gang: GangRow, member: MemberRow): boolean {
  return (
    isUnconfirmed(gang, member) || failedByItself(toFacts(gang, member)) || (member.desired !== "run" && member.exit_code !== null && member.exit_code !== 0)
  );
}

function toEnding(gang: GangRow, member: MemberRow): Ending {
  const unconfirmed = isUnconfirmed(gang, member);
  return {
    worker: member.worker,
    node: member.node,
    rank: null,
    exitCode: member.exit_code,
    signal: member.signal,
    oom: member.oom,
    lost: unconfirmed || (member.state === "lost" && member.detail?.refused === undefined),
    reason: unconfirmed ? "its node is not heard of, so its end can't be confirmed" : member.reason,
    tail: member.detail?.tail ?? "",
    matched: member.detail?.matched ?? [],
  };
}

function toReport({ worker, node, node_rank, detail }: MemberRow): PreflightReport {
  return { worker, node, nodeRank: node_rank, tail: detail?.tail ?? "" };
}

function toFailure(verdict: Verdict, why: string): Record<string, unknown> {
  return {
    class: verdict.class,
    rule: verdict.rule,
    message: `${verdict.message}; ${why}`,
    worker: verdict.worker,
    node: verdict.node,
    exit_code: verdict.exitCode,
    signal: verdict.signal,
    evidence: verdict.evidence,
    signature: verdict.signature,
  };
}
