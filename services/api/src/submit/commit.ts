import {
  getIdempotencyKey,
  insertDependencies,
  insertIdempotencyKeys,
  insertJobs,
  keyText,
  lockDependencies,
  lockIncarnation,
  transaction,
  type Client,
  type DependencyTarget,
  type NewDependency,
  type NewJob,
  type Pool,
} from "@muster/store";
import { Problem } from "../problems/problem.ts";
import type { Outcome } from "../batcher.ts";
import { newJobView } from "./new-job-view.ts";

/** One request to submit: its jobs are inserted together or not at all. */
export interface Submission {
  subject: string;
  idempotency: { key: string; bodyHash: Buffer } | undefined;
  jobs: readonly NewJob[];
  /** How the answer looks: one job, or a list. */
  many: boolean;
}

export interface SubmissionAnswer {
  status: number;
  body: unknown;
  replayed: boolean;
}

/** Rows in one statement. */
const CHUNK = 2000;

/** Commits submissions in one transaction, and gives each its outcome. */
export async function commitSubmissions(pool: Pool, submissions: readonly Submission[]): Promise<Outcome<SubmissionAnswer>[]> {
  return transaction(pool, async (client) => {
    const { at, incarnation } = await lockIncarnation(client);
    const outcomes: (Outcome<SubmissionAnswer> | undefined)[] = Array.from({ length: submissions.length });
    const settled = await settleDependencies(client, submissions, outcomes);
    const keep: NewJob[] = [];
    const replayed = await keepKeys(client, settled, outcomes, at);
    for (const [index, jobs] of settled.entries()) {
      if (outcomes[index] || replayed.has(index)) continue;
      const submission = submissions[index] as Submission;
      outcomes[index] = { ok: true, value: { status: 201, body: answerOf(submission, jobs, at), replayed: false } };
      keep.push(...jobs);
    }
    for (let from = 0; from < keep.length; from += CHUNK) {
      const jobs = keep.slice(from, from + CHUNK);
      await insertJobs(client, incarnation, jobs);
      await insertDependencies(client, jobs);
    }
    return outcomes as Outcome<SubmissionAnswer>[];

    async function keepKeys(
      client: Client,
      settled: readonly (readonly NewJob[])[],
      outcomes: (Outcome<SubmissionAnswer> | undefined)[],
      at: Date,
    ): Promise<Set<number>> {
      const keyed = submissions.flatMap((submission, index) =>
        submission.idempotency && !outcomes[index] ? [{ index, submission, ...submission.idempotency }] : [],
      );
      if (keyed.length === 0) return new Set();
      const fresh = await insertIdempotencyKeys(
        client,
        // in one order everywhere, so that two transactions with the same keys can't deadlock
        keyed
          .sort((a, b) => (keyText({ subject: a.submission.subject, key: a.key }) < keyText({ subject: b.submission.subject, key: b.key }) ? -1 : 1))
          .map(({ submission, index, key, bodyHash }) => ({
            subject: submission.subject,
            key,
            bodyHash,
            status: 201,
            response: JSON.stringify(answerOf(submission, settled[index] as NewJob[], at)),
          })),
      );
      const used = keyed.filter(({ submission, key }) => !fresh.has(keyText({ subject: submission.subject, key })));
      for (const { index, submission, key, bodyHash } of used) outcomes[index] = await replay(client, submission.subject, key, bodyHash);
      return new Set(used.map(({ index }) => index));
    }
  });
}

/** The answer that a key was given before, if it was for the same body. */
export async function replay(client: Client, subject: string, key: string, bodyHash: Buffer): Promise<Outcome<SubmissionAnswer>> {
  const row = await getIdempotencyKey(client, subject, key);
  if (!row) return { ok: false, error: new Problem("unavailable", "The key's first use was not finished; try again") };
  if (!row.body_hash.equals(bodyHash)) {
    return { ok: false, error: new Problem("idempotency_key_reused", `Idempotency-Key ${key} was used with another body; take a new key for a new request`) };
  }
  return { ok: true, value: { status: row.status, body: row.response, replayed: true } };
}

/** Jobs with the state that each of their dependencies has now, locked against changing before this transaction ends. */
async function settleDependencies(
  client: Client,
  submissions: readonly Submission[],
  outcomes: (Outcome<SubmissionAnswer> | undefined)[],
): Promise<(readonly NewJob[])[]> {
  const own = new Set(submissions.flatMap((submission) => submission.jobs.map((job) => job.id)));
  const wanted = new Set(
    submissions.flatMap((submission) => submission.jobs.flatMap((job) => job.dependencies.map((one) => one.on).filter((id) => !own.has(id)))),
  );
  if (wanted.size === 0) return submissions.map((submission) => submission.jobs.map(countUnmet));
  const targets = new Map((await lockDependencies(client, [...wanted])).map((row) => [row.id, row]));
  return submissions.map((submission, index) => {
    try {
      return submission.jobs.map((job) =>
        countUnmet({ ...job, dependencies: job.dependencies.map((one) => (own.has(one.on) ? one : { ...one, state: stateOf(one, targets.get(one.on)) })) }),
      );
    } catch (error) {
      outcomes[index] = { ok: false, error };
      return submission.jobs;
    }
  });
}

function countUnmet(job: NewJob): NewJob {
  return job.dependencies.length === 0 ? job : { ...job, unmetDependencies: job.dependencies.filter((one) => one.state !== "met").length };
}

function stateOf(dependency: NewDependency, target: DependencyTarget | undefined): NewDependency["state"] {
  if (!target)
    throw new Problem("unknown_dependency", `Job ${dependency.on}, which is waited for, does not exist any more`, {
      errors: [{ path: "after", message: `there is no job ${dependency.on}` }],
    });
  const final = ["succeeded", "failed", "cancelled"].includes(target.state);
  if (dependency.condition === "started") return target.started ? "met" : final ? "never" : "open";
  if (!final) return "open";
  return dependency.condition === "finished" || dependency.condition === target.state ? "met" : "never";
}

function answerOf(submission: Submission, jobs: readonly NewJob[], at: Date): unknown {
  return submission.many ? { items: jobs.map((job) => newJobView(job, at)) } : newJobView(jobs[0] as NewJob, at);
}
