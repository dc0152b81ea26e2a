import { isFinal, watchJobs } from "@muster/client";
import type { JobView } from "@muster/model";
import { Interrupted, waitExitCode } from "./exit-codes.ts";
import type { Session } from "./session.ts";
import { StatusLine, progressBar } from "./status-line.ts";
import { plural } from "./text.ts";
import { describeProgress, describeReason, describeState, displayName } from "./views/job.ts";

/** Of more jobs than this only the ends are told. */
const FEW = 10;

/** Waits until all are finished, telling each change of state on standard error. @returns the exit code that says how they ended */
export async function waitForJobs(session: Session, jobs: readonly JobView[], timeout?: number): Promise<number> {
  const line = new StatusLine(session.io);
  const latest = new Map(jobs.map((job) => [job.id, job]));
  const limit = timeout === undefined ? undefined : AbortSignal.timeout(timeout * 1000);
  const signal = limit ? AbortSignal.any([session.signal, limit]) : session.signal;
  const told = new Map<string, string>();
  try {
    for await (const now of watchJobs(session.client, jobs, { signal, onUnreachable: (error) => line.say(`${error.message}; still waiting`) })) {
      latest.set(now.id, now);
      const status = describeStatus(now);
      if (status !== told.get(now.id) && (jobs.length <= FEW || isFinal(now))) line.say(jobs.length > 1 ? `${now.id} ${status}` : status);
      told.set(now.id, status);
      line.update(jobs.length > 1 ? countFinished([...latest.values()]) : describeProgressBar(now));
    }
  } catch (error) {
    if (session.signal.aborted) {
      line.clear();
      tellDetached(session, jobs);
      throw new Interrupted("interrupted", { cause: error });
    }
    if (!limit?.aborted) throw error;
    line.say(`not finished after ${timeout} s`);
  } finally {
    line.clear();
  }
  return waitExitCode([...latest.values()]);
}

/** `train running`, with the reason where there is one. */
export function describeStatus(job: JobView): string {
  const reason = describeReason(job);
  return `${displayName(job)} ${describeState(job)}${job.attempt > 1 && !isFinal(job) ? `, attempt ${job.attempt}` : ""}${reason ? ` (${reason})` : ""}`;
}

export function describeProgressBar(job: JobView): string {
  if (isFinal(job)) return "";
  const { progress } = job;
  const bar = progress?.total && progress.step !== null ? ` ${progressBar(progress.step / progress.total)}` : "";
  return `${displayName(job)} ${describeState(job)}${bar}${progress ? ` ${describeProgress(job) ?? ""}` : ""}`;
}

function countFinished(jobs: readonly JobView[]): string {
  return `${jobs.filter(isFinal).length} of ${plural(jobs.length, "job")} finished`;
}

/** After Ctrl-C: the jobs go on, and this is how to come back to them. */
export function tellDetached(session: Session, jobs: readonly JobView[]): void {
  const ids = jobs.slice(0, 10).map((job) => job.id);
  const rest = jobs.length > ids.length ? " ..." : "";
  session.note(`detached; ${jobs.length === 1 ? `${jobs[0]?.name} goes on` : `${jobs.length} jobs go on`}`);
  session.note(`  reattach: ${jobs.length === 1 ? `muster job logs -f ${ids[0]}` : `muster job wait ${ids.join(" ")}${rest}`}`);
  session.note(`  cancel:   muster job cancel ${ids.join(" ")}${rest}`);
}
