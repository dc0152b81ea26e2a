import type { Command } from "commander";
import type { Io } from "../io.ts";
import type { Outcome } from "../session.ts";
import { addJobActs } from "./job-act.ts";
import { addJobList } from "./job-list.ts";
import { addJobLogs } from "./job-logs.ts";
import { addJobShow } from "./job-show.ts";
import { addJobSubmit } from "./job-submit.ts";
import { addJobWait } from "./job-wait.ts";

export function addJob(program: Command, io: Io, outcome: Outcome): void {
  const job = program.command("job").description("submit jobs, see how they stand, and act on them");
  addJobSubmit(job, io, outcome);
  addJobList(job, io, outcome);
  addJobShow(job, io, outcome);
  addJobLogs(job, io, outcome);
  addJobWait(job, io, outcome);
  addJobActs(job, io, outcome);
}
