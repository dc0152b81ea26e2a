import type { Observation, WorkerStack } from "@muster/engine";
import { PREFLIGHT, readNodeLine, RULE } from "@muster/lifecycle";
import {
  appendEvents,
  attemptKey,
  checkLease,
  lockJobs,
  readFaultRules,
  recordCommits,
  recordFacts,
  recordMatches,
  recordOutput,
  recordProgress,
  recordStacks,
  recordStepTimes,
  recordPruned,
  recordSealed,
  recordSealFailed,
  reportHealth,
  saveShardCursor,
  transaction,
  workerKey,
  type AttemptId,
  type CommitFact,
  type Lease,
  type NewEvent,
  type Pool,
  type ProgressFact,
  type WorkerFact,
  type WorkerId,
} from "@muster/store";
import { judgeAttempts, type Backoff } from "./judge.ts";

const ACTOR = "supervisor";

export interface ObservedBatch {
  shard: string;
  epoch: string;
  observations: readonly Observation[];
  lease: Lease;
  holder: string;
}

export interface Recorded {
  /** Something others act on changed. */
  changed: boolean;
  /** Attempts with output to keep or ends to forget. */
  ended: AttemptId[];
  backoffs: Backoff[];
}

/** Records a batch of observations and takes what follows from it, in one transaction with the shard's cursor. */
export async function recordObservations(pool: Pool, batch: ObservedBatch): Promise<Recorded> {
  const sorted = sort(batch.observations);
  await recordNoticed(pool, batch, sorted.noticed);
  const backoffs = await transaction(pool, async (client) => {
    await checkLease(client, batch.lease, batch.holder);
    await lockJobs(client, [...sorted.facts, ...sorted.commits]);
    await recordMatches(client, sorted.matches);
    await recordOutput(client, sorted.output);
    await recordStacks(client, sorted.stacks);
    await recordStepTimes(client, [...sorted.stepTimes.values()]);
    const events: NewEvent[] = [...sorted.events];
    for (const commit of await recordCommits(client, sorted.commits)) {
      events.push({
        kind: "checkpoint.accepted",
        actor: ACTOR,
        project: commit.project,
        job: commit.job,
        attempt: commit.attempt,
        data: { step: commit.step, path: commit.path },
      });
    }
    for (const seal of sorted.seals) {
      const sealed = seal.kind === "sealed" ? await recordSealed(client, seal.id, seal.path) : await recordSealFailed(client, seal.id, seal.reason);
      if (!sealed) continue;
      if (seal.kind === "sealed") await recordPruned(client, sealed.job);
      events.push({
        kind: seal.kind === "sealed" ? "checkpoint.sealed" : "checkpoint.seal_failed",
        actor: ACTOR,
        project: sealed.project,
        job: sealed.job,
        attempt: sealed.attempt,
        data: seal.kind === "sealed" ? { step: sealed.step, path: seal.path } : { step: sealed.step, reason: seal.reason },
      });
    }
    for (const first of await recordProgress(client, sorted.progress)) {
      events.push({ kind: "attempt.progressing", actor: ACTOR, project: first.project, job: first.job, attempt: first.attempt, data: { step: first.step } });
    }
    await appendEvents(client, events);
    const touched = await recordFacts(client, sorted.facts);
    const judged = (await judgeAttempts(client, touched)).backoffs;
    const last = batch.observations.at(-1);
    if (last) await saveShardCursor(client, batch.shard, batch.epoch, last.seq);
    return judged;
  });
  return {
    changed: sorted.facts.length > 0 || sorted.commits.length > 0 || sorted.seals.length > 0,
    ended: sorted.facts.filter((fact) => fact.state !== "running"),
    backoffs,
  };
}

/** What nodes' kernels and disks said. In a transaction before the batch's: told twice, it says no more. */
async function recordNoticed(pool: Pool, { lease, holder }: ObservedBatch, noticed: Sorted["noticed"]): Promise<void> {
  if (noticed.length === 0) return;
  const rules = await readFaultRules(pool);
  const told = noticed.flatMap(({ node, line }) => {
    const read = readNodeLine(line, rules);
    return read ? [{ node, line, ...read }] : [];
  });
  if (told.length === 0) return;
  await transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    for (const { node, line, rule, status, message } of told.toSorted((a, b) => (a.node < b.node ? -1 : 1))) {
      await appendEvents(client, [{ kind: "node.noticed", actor: "engine", node, data: { rule, status, line } }]);
      // by a rule, so that it passes where nothing more breaks there
      if (status !== "info") await reportHealth(client, node, { status, check: `${RULE}${rule}`, message: `${message}: ${line}` }, "engine");
    }
  });
}

type Seal = { kind: "sealed"; id: number; path: string } | { kind: "seal_failed"; id: number; reason: string };

interface Sorted {
  facts: WorkerFact[];
  matches: (WorkerId & { id: string; line: string })[];
  output: (WorkerId & { size: number })[];
  stacks: (WorkerId & { stacks: WorkerStack[] })[];
  stepTimes: Map<string, WorkerId & { ranks: Record<string, number> }>;
  commits: CommitFact[];
  seals: Seal[];
  progress: ProgressFact[];
  noticed: { node: string; line: string }[];
  events: NewEvent[];
}

/** By kind; of a worker's several facts the last one, and of progress the newest figures. */
function sort(observations: readonly Observation[]): Sorted {
  const facts = new Map<string, WorkerFact>();
  const output = new Map<string, WorkerId & { size: number }>();
  const progress = new Map<string, ProgressFact>();
  const sorted: Omit<Sorted, "facts" | "output" | "progress"> = {
    matches: [],
    stacks: [],
    stepTimes: new Map(),
    commits: [],
    seals: [],
    noticed: [],
    events: [],
  };
  const base = { exitCode: null, signal: null, oom: false, reason: null, detail: null };
  for (const one of observations) {
    switch (one.kind) {
      case "started":
        facts.set(workerKey(one), { ...id(one), ...base, state: "running" });
        break;
      case "exited":
        facts.set(workerKey(one), {
          ...id(one),
          state: "exited",
          exitCode: one.exitCode,
          signal: one.signal,
          oom: one.oom,
          reason: one.reason ?? null,
          detail: one.errorTail || one.ranks ? { ...(one.errorTail && { tail: printable(one.errorTail) }), ...(one.ranks && { ranks: one.ranks }) } : null,
        });
        break;
      case "lost":
        facts.set(workerKey(one), { ...id(one), ...base, state: "lost", reason: one.reason });
        break;
      case "refused":
        if (one.code === "already_started") break;
        facts.set(workerKey(one), {
          ...id(one),
          ...base,
          state: "lost",
          reason: one.code === "invalid" ? `invalid: ${one.reason}` : `${one.code}: ${one.reason}`,
          detail: { refused: one.code },
        });
        break;
      case "progress": {
        const before = progress.get(attemptKey(one));
        progress.set(attemptKey(one), {
          job: one.job,
          incarnation: one.incarnation,
          attempt: one.attempt,
          step: one.step ?? before?.step ?? null,
          total: one.total ?? before?.total ?? null,
          loss: one.loss ?? before?.loss ?? null,
          lossIsNaN: one.loss === undefined ? (before?.lossIsNaN ?? false) : one.loss === null,
          rate: one.rate ?? before?.rate ?? null,
          phase: one.phase ?? before?.phase ?? null,
        });
        break;
      }
      case "checkpoint":
        sorted.commits.push({ ...id(one), generation: one.generation, step: one.step, path: one.path });
        break;
      case "sealed":
        sorted.seals.push({ kind: "sealed", id: sealId(one.name), path: one.path });
        break;
      case "seal_failed":
        sorted.seals.push({ kind: "seal_failed", id: sealId(one.name), reason: one.reason });
        break;
      case "matched":
        sorted.matches.push({ ...id(one), id: one.id, line: printable(one.line) });
        // what the check before the start cost each node, and how it ended
        if (one.id === PREFLIGHT)
          sorted.events.push({
            kind: "worker.preflight",
            actor: ACTOR,
            job: one.job,
            attempt: one.attempt,
            data: { worker: one.worker, line: printable(one.line) },
          });
        break;
      case "stacks":
        sorted.stacks.push({ ...id(one), stacks: one.stacks.map((stack) => ({ ...stack, text: printable(stack.text) })) });
        break;
      case "step_times":
        sorted.stepTimes.set(workerKey(one), { ...id(one), ranks: one.ranks });
        break;
      case "output":
        output.set(workerKey(one), { ...id(one), size: one.size });
        break;
      case "log_dropped":
        sorted.events.push({
          kind: "worker.log_dropped",
          actor: ACTOR,
          job: one.job,
          attempt: one.attempt,
          data: { worker: one.worker, bytes: one.bytes, reason: one.reason },
        });
        break;
      case "notice":
        sorted.events.push({
          kind: "worker.notice",
          actor: "engine",
          job: one.job,
          attempt: one.attempt,
          data: { worker: one.worker, reason: one.reason, message: printable(one.message) },
        });
        break;
      case "node":
        sorted.events.push({
          kind: one.health === "ready" ? "node.reported" : "node.reported_bad",
          actor: "engine",
          node: one.node,
          data: { boot_id: one.bootId, reason: one.reason ?? null },
        });
        break;
      case "noticed":
        sorted.noticed.push({ node: one.node, line: printable(one.line) });
        break;
      case "newer_known":
        // looked at before anything is recorded
        break;
    }
  }
  return { ...sorted, facts: [...facts.values()], output: [...output.values()], progress: [...progress.values()] };
}

function id(one: WorkerId): WorkerId {
  return { job: one.job, incarnation: one.incarnation, attempt: one.attempt, worker: one.worker };
}

/** The store's own id of a commit is the last part of its sealed name, `<step>-<id>`. */
function sealId(name: string): number {
  return Number(name.slice(name.lastIndexOf("-") + 1));
}

/** jsonb refuses NUL and lone surrogates, which a worker's output may well have. */
function printable(text: string): string {
  return text.replaceAll("\0", "�").toWellFormed();
}
