import { ProblemError, isFinal, watchJob } from "@muster/client";
import type { JobView } from "@muster/model";
import { Interrupted, waitExitCode } from "./exit-codes.ts";
import type { Session } from "./session.ts";
import { describeStatus, tellDetached } from "./wait.ts";

/** Seconds that a log may still come in after its job has ended. */
const LAST_WORDS = 10;

/**
 * Shows a job until it is finished: its states on standard error, what its first worker writes on standard output, attempt
 * after attempt. @returns the exit code that says how it ended
 */
export async function followJob(session: Session, job: JobView, timeout?: number): Promise<number> {
  const limit = timeout === undefined ? undefined : AbortSignal.timeout(timeout * 1000);
  const signal = limit ? AbortSignal.any([session.signal, limit]) : session.signal;
  const stop = new AbortController();
  const logSignal = AbortSignal.any([signal, stop.signal]);
  let last = job;
  let told = "";
  let followed = 0;
  let log: Promise<void> = Promise.resolve();
  try {
    for await (const now of watchJob(session.client, job.id, { signal, onUnreachable: (error) => session.note(`-- ${error.message}; still waiting`) })) {
      last = now;
      const status = describeStatus(now);
      if (status !== told) session.note(`-- ${status}`);
      told = status;
      if (now.attempt > followed && (now.started_at !== null || ["starting", "running", "stopping"].includes(now.state) || isFinal(now))) {
        followed = now.attempt;
        const attempt = now.attempt;
        log = log.then(() => copyLog(session, now, { attempt, fromStart: true }, logSignal));
        // a failure is told when the log is waited for; until then it must not count as unhandled
        log.catch(() => {});
      }
    }
    const lastWords = setTimeout(() => stop.abort(), LAST_WORDS * 1000);
    await log.catch((error: unknown) => {
      if (signal.aborted) throw error;
      session.note(`-- the log can't be shown: ${(error as Error).message}`);
    });
    clearTimeout(lastWords);
  } catch (error) {
    if (session.signal.aborted) {
      tellDetached(session, [job]);
      throw new Interrupted("interrupted", { cause: error });
    }
    if (!limit?.aborted) throw error;
    session.note(`-- not finished after ${timeout} s`);
  } finally {
    stop.abort();
  }
  return waitExitCode([last]);
}

/** Copies what a worker of an attempt writes to standard output until its log ends. */
export async function copyLog(
  session: Session,
  job: JobView,
  {
    attempt,
    worker,
    fromStart,
    tail,
    prefix = "",
  }: { attempt?: number | undefined; worker?: string | undefined; fromStart?: boolean; tail?: number | undefined; prefix?: string },
  signal: AbortSignal,
): Promise<void> {
  const name = worker ?? (await firstWorker(session, job, attempt, signal));
  const lines = new LinePrefixer(prefix, (text) => session.printer.write(text));
  try {
    for await (const chunk of session.client.jobs.followLogs(job.id, { attempt, worker: name, ...(fromStart ? { offset: 0 } : { tail }) }, { signal }))
      lines.push(chunk.text);
  } catch (error) {
    // of an attempt that never got so far there is no log
    if (!(error instanceof ProblemError && error.status === 404)) throw error;
  } finally {
    lines.end();
  }
}

/** The worker whose log says most: the one that failed, else the one with rank 0. */
export async function firstWorker(session: Session, job: JobView, attempt: number | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (attempt === undefined && job.state === "failed" && job.failure?.worker) return job.failure.worker;
  const workers = await session.client.jobs.workers(job.id, attempt, { signal });
  return [...workers].sort((a, b) => a.first_rank - b.first_rank || a.node_rank - b.node_rank)[0]?.worker;
}

/** Puts a prefix before each line of text that comes in pieces; without a prefix, passes the text on as it is. */
export class LinePrefixer {
  readonly #prefix: string;
  readonly #write: (text: string) => void;
  #rest = "";

  constructor(prefix: string, write: (text: string) => void) {
    this.#prefix = prefix;
    this.#write = write;
  }

  push(text: string): void {
    if (this.#prefix === "") {
      this.#write(text);
      return;
    }
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (lines.length > 0) this.#write(lines.map((line) => `${this.#prefix}${line}\n`).join(""));
  }

  end(): void {
    if (this.#rest !== "") this.#write(`${this.#prefix}${this.#rest}\n`);
    this.#rest = "";
  }
}
