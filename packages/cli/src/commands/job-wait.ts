import { ProblemError } from "@muster/client";
import type { JobView } from "@muster/model";
import type { Command } from "commander";
import { EXIT, NotFoundError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { findJob } from "../job-ref.ts";
import { reportError } from "../report-error.ts";
import { action, type Outcome } from "../session.ts";
import { waitForJobs } from "../wait.ts";
import { seconds, withOutput, withProject } from "./options.ts";

export function addJobWait(job: Command, io: Io, outcome: Outcome): void {
  const command = job
    .command("wait")
    .description("wait until jobs are finished: exits 0 succeeded, 100 failed, 101 not finished in time, 102 not found, 103 cancelled")
    .argument("<job...>", "ids, or names of the newest jobs of these names")
    .option("--timeout <duration>", "wait at most so long", seconds);
  withProject(withOutput(command)).action(
    action<{ timeout?: number }>(io, outcome, async (session, references, options) => {
      const jobs: JobView[] = [];
      for (const reference of references) {
        try {
          jobs.push(await findJob(session, reference));
        } catch (error) {
          if (!(error instanceof NotFoundError) && !(error instanceof ProblemError && error.status === 404)) throw error;
          reportError(error, io);
          return EXIT.jobNotFound;
        }
      }
      return waitForJobs(session, jobs, options.timeout);
    }),
  );
}
