import type { JobListQuery } from "@muster/client";
import { JOB_STATES, WAIT_REASONS, nearest, type WaitReason } from "@muster/model";
import type { Command } from "commander";
import { UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { printList } from "../list.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { jobShape } from "../views/job.ts";
import { keyValue, pastTime, withLimit, withOutput, withProject, withWatch } from "./options.ts";

export interface JobListOptions {
  queue?: string;
  state?: string;
  reason?: string;
  label?: string[];
  node?: string;
  name?: string;
  array?: string;
  submitter?: string;
  since?: string;
  active?: boolean;
  finished?: boolean;
  limit: number;
  watch?: boolean;
}

export function addJobList(job: Command, io: Io, outcome: Outcome): void {
  const command = job
    .command("list")
    .alias("ls")
    .description("jobs, newest first")
    .option("-q, --queue <name>", "of this queue")
    .option("--state <states>", `in one of these states, joined by commas (${JOB_STATES.join(" ")})`)
    .option("--reason <reason>", "waiting for this reason")
    .option("-l, --label <key=value>", "with this label; may be repeated", keyValue)
    .option("--node <name>", "with a worker on this node now")
    .option("--name <prefix>", "whose name begins so")
    .option("--array <id>", "elements of this array")
    .option("-u, --submitter <who>", "submitted by")
    .option("--since <time>", "submitted since a time, or how long ago (2h)", pastTime)
    .option("--active", "not finished yet")
    .option("--finished", "finished");
  withWatch(withLimit(withProject(withOutput(command)))).action(action<JobListOptions>(io, outcome, (session, _, options) => listJobs(session, options)));
}

export async function listJobs(session: Session, options: JobListOptions): Promise<void> {
  const query = jobQuery(options, session.project);
  await printList(session, jobShape(session), options, () => session.client.jobs.list(query, { signal: session.signal }));
}

function jobQuery(options: JobListOptions, project: string | undefined): JobListQuery {
  const states = options.state?.split(",");
  for (const state of states ?? []) checkWord("state", state, JOB_STATES);
  if (options.reason !== undefined) checkWord("reason", options.reason, WAIT_REASONS);
  if (options.active && options.finished) throw new UsageError("--active and --finished exclude each other");
  return {
    // one more than shown tells whether there are more
    limit: options.limit > 0 ? Math.min(500, options.limit + 1) : 500,
    ...(project !== undefined && { project }),
    ...(states && { state: states.join(",") }),
    ...(options.queue !== undefined && { queue: options.queue }),
    ...(options.reason !== undefined && { reason: options.reason as WaitReason }),
    ...(options.label && { label: options.label.join(",") }),
    ...(options.node !== undefined && { node: options.node }),
    ...(options.name !== undefined && { name: options.name }),
    ...(options.array !== undefined && { array: options.array }),
    ...(options.submitter !== undefined && { submitter: options.submitter }),
    ...(options.since !== undefined && { submitted_since: options.since }),
    ...((options.active || options.finished) && { active: options.active ? "true" : "false" }),
  };
}

function checkWord(what: string, word: string, known: readonly string[]): void {
  if (known.includes(word)) return;
  const near = nearest(word, known);
  throw new UsageError(`there is no ${what} "${word}"${near ? `; did you mean ${near}?` : ""}`, { hint: `use one of ${known.join(", ")}` });
}
