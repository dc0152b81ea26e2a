import { createHash } from "node:crypto";
import { sqlState, type Pool, type Waker } from "@muster/store";
import type { Identity } from "../access/identity.ts";
import { Problem } from "../problems/problem.ts";
import { Batcher, type Outcome } from "../batcher.ts";
import type { Cluster, ClusterCache } from "./cluster-cache.ts";
import { commitSubmissions, replay, type Submission, type SubmissionAnswer } from "./commit.ts";
import { bindDependencies } from "./dependencies.ts";
import { Fit } from "./fit.ts";
import { checkNames, makeIds, readSpec, toRows, type Prepared } from "./prepare.ts";
import { resolveSource, type SourceOptions } from "./source.ts";

export interface SubmitRequest {
  identity: Identity;
  specs: readonly unknown[];
  /** Answer with a list. */
  many: boolean;
  held: boolean;
  idempotencyKey: string | undefined;
}

/** Rows of a submission that goes alone, so that its neighbours need not wait for it. */
const LARGE = 500;
/** Jobs in one request, elements of arrays counted one by one. */
const MOST = 100_000;

/** From a request to durable jobs: checks outside, then one transaction shared with whoever submits at the same time. */
export class Submitter {
  readonly #pool: Pool;
  readonly #cluster: ClusterCache;
  readonly #waker: Waker;
  readonly #source: SourceOptions;
  readonly #fit = new Fit();
  readonly #batcher: Batcher<Submission, SubmissionAnswer>;

  constructor(pool: Pool, cluster: ClusterCache, waker: Waker, source: SourceOptions) {
    this.#pool = pool;
    this.#cluster = cluster;
    this.#waker = waker;
    this.#source = source;
    this.#batcher = new Batcher(
      (submissions) => commitSubmissions(pool, submissions),
      ({ subject, idempotency }) => idempotency && JSON.stringify([subject, idempotency.key]),
    );
  }

  async submit(request: SubmitRequest): Promise<SubmissionAnswer> {
    const idempotency = request.idempotencyKey === undefined ? undefined : { key: request.idempotencyKey, bodyHash: hashOf(request) };
    let answer: SubmissionAnswer;
    try {
      answer = await this.#commit({ subject: request.identity.subject, idempotency, many: request.many, jobs: await this.#prepare(request) });
    } catch (error) {
      // what was accepted once is answered the same again, though it would be refused by now
      const earlier =
        idempotency && error instanceof Problem ? await replay(this.#pool, request.identity.subject, idempotency.key, idempotency.bodyHash) : undefined;
      if (earlier?.ok) return earlier.value;
      if (earlier?.error instanceof Problem && earlier.error.code === "idempotency_key_reused") throw earlier.error;
      throw error;
    }
    this.#waker.wake();
    return answer;
  }

  async #commit(submission: Submission): Promise<SubmissionAnswer> {
    try {
      return submission.jobs.length > LARGE ? unwrap((await commitSubmissions(this.#pool, [submission]))[0]) : await this.#batcher.submit(submission);
    } catch (error) {
      if (sqlState(error) !== "23503") throw error;
      // its queue or project went away between the check and the commit
      const cluster = await this.#cluster.refresh();
      const gone = submission.jobs.find((job) => !cluster.queues.has(job.queue));
      throw gone
        ? new Problem("unknown_queue", `queue: there is no queue ${gone.queue} any more`, {
            errors: [{ path: "queue", message: `there is no queue ${gone.queue}` }],
          })
        : new Problem("unknown_project", "project: it does not exist any more", { errors: [{ path: "project", message: "does not exist any more" }] });
    }
  }

  /** The spec as it would be kept, checked as a submission is. @throws Problem */
  async check(identity: Identity, spec: unknown): Promise<{ prepared: Prepared; cluster: Cluster }> {
    const prepared = readSpec(identity, spec);
    return { prepared, cluster: await this.#knownNames([prepared]) };
  }

  get fit(): Fit {
    return this.#fit;
  }

  async drain(): Promise<void> {
    await this.#batcher.drain();
  }

  async #prepare({ identity, specs, many, held }: SubmitRequest): Promise<Submission["jobs"]> {
    const all = specs.map((spec, index) => readSpec(identity, spec, many ? `jobs[${index}].` : ""));
    const total = all.reduce((sum, one) => sum + (one.resolved.array?.count ?? 1), 0);
    if (total > MOST) throw new Problem("invalid", `These are ${total} jobs; one request may submit ${MOST}`);
    refuseSameNames(all);
    const cluster = await this.#knownNames(all);
    for (const one of all) await this.#refuseUnfit(one, cluster);
    const made = makeIds(total);
    let given = 0;
    const ids = all.map((one) => made.slice(given, (given += one.resolved.array?.count ?? 1)));
    const dependencies = all.some((one) => one.resolved.after.length > 0) ? await bindDependencies(this.#pool, all, ids) : undefined;
    const commits = await this.#commits(all);
    return all.flatMap((one, index) =>
      toRows(one, {
        submitter: identity.subject,
        held,
        sourceCommit: commits[index] ?? null,
        dependencies: dependencies?.[index] ?? [],
        priority: cluster.priorities[one.resolved.priority] ?? 0,
        ids: ids[index] as string[],
      }),
    );
  }

  /** Of each job, the commit of its source; what several name is asked once. */
  async #commits(all: readonly Prepared[]): Promise<(string | null)[]> {
    const asked = new Map<string, Promise<string | null>>();
    return Promise.all(
      all.map(async ({ resolved: { source }, path }) => {
        if (!source) return null;
        const key = JSON.stringify(source);
        const commit = asked.get(key) ?? resolveSource(source, this.#source).catch((error: unknown) => Promise.reject(below(path, error)));
        asked.set(key, commit);
        return commit;
      }),
    );
  }

  /** A refusal is never judged by what was known a moment ago. */
  async #knownNames(all: readonly Prepared[]): Promise<Cluster> {
    const known = await this.#cluster.get();
    if (all.every((one) => checkNames(one, known) === undefined)) return known;
    const now = await this.#cluster.refresh();
    for (const one of all) {
      const problem = checkNames(one, now);
      if (problem) throw problem;
    }
    return now;
  }

  async #refuseUnfit(one: Prepared, cluster: Cluster): Promise<void> {
    if (one.resolved.allow_unfit || this.#fit.judge(one.resolved, cluster).fits) return;
    const verdict = this.#fit.judge(one.resolved, await this.#cluster.refresh());
    if (verdict.fits) return;
    throw new Problem("never_fits", `${verdict.message} Change what it asks for, or submit it with allow_unfit: true to wait for such nodes.`, {
      errors: [{ path: `${one.path}${verdict.path}`, message: verdict.message }],
      more: { would_fit: verdict.wouldFit },
    });
  }
}

/** The same problem, of a field of one job among several. */
function below(path: string, error: unknown): unknown {
  if (path === "" || !(error instanceof Problem) || !error.details.errors) return error;
  const errors = error.details.errors.map((one) => ({ ...one, path: `${path}${one.path}` }));
  return new Problem(error.code, `${path}${error.message}`, { ...error.details, errors });
}

/** `after` names jobs by their names, so within a request a name must stand for one job. */
function refuseSameNames(all: readonly Prepared[]): void {
  const named = new Set(all.flatMap((one) => one.resolved.after.map((after) => `${one.resolved.project}/${after.job}`)));
  const seen = new Set<string>();
  for (const one of all) {
    const name = `${one.resolved.project}/${one.resolved.name}`;
    if (seen.has(name) && named.has(name))
      throw new Problem("invalid", `${one.path}name: two jobs here are named ${one.resolved.name}, and another waits for that name`, {
        errors: [{ path: `${one.path}name`, message: "is not unique, but waited for by name" }],
      });
    seen.add(name);
  }
}

function hashOf(request: SubmitRequest): Buffer {
  return createHash("sha256")
    .update(JSON.stringify([request.many, request.held, request.specs]))
    .digest();
}

function unwrap(outcome: Outcome<SubmissionAnswer> | undefined): SubmissionAnswer {
  if (outcome?.ok) return outcome.value;
  throw outcome?.error ?? new Error("a commit gave no outcome");
}
