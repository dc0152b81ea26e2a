import { isFinal } from "@muster/client";
import type { JobView } from "@muster/model";
import type { Command } from "commander";
import { EXIT, Interrupted, NotFoundError, UsageError } from "../exit-codes.ts";
import { LinePrefixer, copyLog, firstWorker, followJob } from "../follow.ts";
import type { Io } from "../io.ts";
import { findJob } from "../job-ref.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { tellDetached } from "../wait.ts";
import { wholeNumber, withProject } from "./options.ts";

interface LogOptions {
  attempt?: number;
  worker?: string;
  tail?: number;
  follow?: boolean;
}

export function addJobLogs(job: Command, io: Io, outcome: Outcome): void {
  const command = job
    .command("logs")
    .description("what its workers wrote: by default the one that failed, else the first")
    .argument("<job>", "id, or name of the newest job of that name")
    .option("--attempt <n>", "of this attempt instead of the newest", wholeNumber)
    .option("--worker <name>", "of this worker (muster job workers names them), or all")
    .option("--tail <lines>", "only so many lines at the end", wholeNumber)
    .option("-f, --follow", "go on as it is written, into later attempts, until the job is finished");
  withProject(command).action(
    action<LogOptions>(io, outcome, async (session, [reference = ""], options) => {
      const found = await findJob(session, reference);
      if (found.attempt === 0 && !options.follow)
        throw new NotFoundError(`${found.name} has not started yet, so there is no log`, `muster job explain ${reference} tells why`);
      if (!options.follow) {
        await showLogs(session, found, options);
        return EXIT.ok;
      }
      if (options.worker === undefined && options.attempt === undefined && options.tail === undefined && !isFinal(found)) return followJob(session, found);
      await followWorkers(session, found, options);
      return EXIT.ok;
    }),
  );
}

async function chosenWorkers(session: Session, job: JobView, options: LogOptions): Promise<string[]> {
  if (options.worker === "all") {
    const workers = await session.client.jobs.workers(job.id, options.attempt, { signal: session.signal });
    return workers.map((worker) => worker.worker);
  }
  const one = options.worker ?? (await firstWorker(session, job, options.attempt, session.signal));
  return one === undefined ? [] : [one];
}

async function showLogs(session: Session, job: JobView, options: LogOptions): Promise<void> {
  const workers = await chosenWorkers(session, job, options);
  if (workers.length === 0)
    throw new NotFoundError(
      `${job.name} has no workers${options.attempt === undefined ? "" : ` in attempt ${options.attempt}`}`,
      `muster job attempts ${job.id} shows its attempts`,
    );
  for (const worker of workers) {
    const lines = new LinePrefixer(workers.length > 1 ? `${worker} | ` : "", (text) => session.printer.write(text));
    for await (const text of session.client.jobs.logs(job.id, { attempt: options.attempt, worker, tail: options.tail }, { signal: session.signal }))
      lines.push(text);
    lines.end();
  }
}

async function followWorkers(session: Session, job: JobView, options: LogOptions): Promise<void> {
  const workers = await chosenWorkers(session, job, options);
  if (workers.length === 0) throw new UsageError(`${job.name} has no workers to follow yet`, { hint: `muster job logs -f ${job.id} waits for them` });
  try {
    await Promise.all(
      workers.map((worker) =>
        copyLog(
          session,
          job,
          { attempt: options.attempt, worker, tail: options.tail, fromStart: options.tail === undefined, prefix: workers.length > 1 ? `${worker} | ` : "" },
          session.signal,
        ),
      ),
    );
  } catch (error) {
    if (!session.signal.aborted) throw error;
    if (!isFinal(job)) tellDetached(session, [job]);
    throw new Interrupted("interrupted", { cause: error });
  }
}
