import { clusterChange, fieldErrors, resolveJobSpec, type AskedClusterChange, type JobView, type SubmittedJobSpec } from "@muster/model";
import type { Command } from "commander";
import { parseDocuments, readDocuments, type Document } from "../documents.ts";
import { EXIT, UsageError } from "../exit-codes.ts";
import { followJob } from "../follow.ts";
import type { Io } from "../io.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { plural } from "../text.ts";
import { renderPlan } from "../views/explain.ts";
import { describeState, jobShape } from "../views/job.ts";
import { waitForJobs } from "../wait.ts";
import { collect, seconds, withOutput, withProject } from "./options.ts";

interface SubmitOptions {
  file: string[];
  wait?: boolean;
  follow?: boolean;
  hold?: boolean;
  timeout?: number;
  idempotencyKey?: string;
}

export function addJobSubmit(job: Command, io: Io, outcome: Outcome): void {
  const submit = job
    .command("submit")
    .description("submit jobs from YAML or JSON files, one or more documents each; all or none")
    .requiredOption("-f, --file <file>", "the file, - for standard input; may be repeated", collect)
    .option("--wait", "wait until they are finished, and exit as wait does")
    .option("--follow", "show what happens and the first worker's log until it is finished, and exit as wait does")
    .option("--timeout <duration>", "with --wait or --follow: wait at most so long", seconds)
    .option("--hold", "keep them held until they are released")
    .option("--idempotency-key <key>", "one key, one submission: repeating it with the same key makes no second job");
  withProject(withOutput(submit)).action(
    action<SubmitOptions>(io, outcome, async (session, _, options) => {
      if (options.wait && options.follow) throw new UsageError("--wait and --follow exclude each other");
      if (options.timeout !== undefined && !options.wait && !options.follow) throw new UsageError("--timeout is for --wait and --follow");
      const specs = await readSpecs(options.file, session);
      const { client, printer, signal } = session;
      const jobs = await client.jobs.submitAll(specs, {
        signal,
        held: options.hold === true,
        ...(options.idempotencyKey !== undefined && { idempotencyKey: options.idempotencyKey }),
      });
      if (printer.isHuman) printer.write(describeSubmitted(jobs));
      else if (jobs.length === 1) printer.lines(jobs, jobShape(session));
      else printer.list(jobs, jobShape(session));
      if (options.follow) {
        const [first] = jobs;
        if (!first || jobs.length > 1)
          throw new UsageError(`--follow shows one job, but ${plural(jobs.length, "job")} were submitted`, {
            hint: "they run; wait for them with muster job wait",
          });
        return followJob(session, first, options.timeout);
      }
      if (options.wait) return waitForJobs(session, jobs, options.timeout);
      if (printer.isHuman && jobs.length === 1 && session.io.stderr.isTTY) session.note(`follow it with: muster job logs -f ${jobs[0]?.id}`);
      return EXIT.ok;
    }),
  );

  const plan = job
    .command("plan")
    .description("what would happen if it were submitted now; exits 0 if it fits now, 1 if it would queue")
    .requiredOption("-f, --file <file>", "the file, - for standard input; may be repeated", collect)
    .option("--with <change>", "to a changed cluster: a file, or fields such as '{return_nodes: [n7], without_jobs: [job_...]}'");
  withProject(withOutput(plan)).action(
    action<{ file: string[]; with?: string }>(io, outcome, async (session, _, options) => {
      const cluster = options.with === undefined ? undefined : await readChange(options.with, session);
      let fits = true;
      for (const spec of await readSpecs(options.file, session)) {
        const view = await session.client.jobs.plan(spec, { signal: session.signal, ...(cluster && { cluster }) });
        session.printer.one(
          view,
          () => spec.name,
          (one) => renderPlan(one, spec.name, session.now, session.colours),
        );
        fits &&= view.fits_now;
      }
      return fits ? EXIT.ok : EXIT.error;
    }),
  );
}

/** Job specs, each checked here first so that what is wrong is told with its file. @throws UsageError */
async function readSpecs(files: readonly string[], session: Session): Promise<SubmittedJobSpec[]> {
  const documents = await readDocuments(files, session.io);
  return documents.map((document) => checkSpec(document, session.project));
}

/** A changed cluster, of a file or as it stands on the command line. @throws UsageError */
async function readChange(asked: string, session: Session): Promise<AskedClusterChange> {
  const documents = asked.trimStart().startsWith("{") ? parseDocuments(asked, "--with") : await readDocuments([asked], session.io);
  const [document] = documents;
  if (!document || documents.length > 1) throw new UsageError(`--with takes one change, but there are ${documents.length}`);
  const result = clusterChange.safeParse(document.content);
  if (!result.success)
    throw new UsageError(`${document.source} is no valid change of a cluster`, {
      details: fieldErrors(result.error, clusterChange),
      hint: "docs/cli.md shows what it may hold",
    });
  return document.content;
}

function checkSpec({ source, content }: Document, project: string | undefined): SubmittedJobSpec {
  if (content["kind"] !== undefined && content["kind"] !== "job") {
    throw new UsageError(`${source} is of kind ${JSON.stringify(content["kind"])}, not job`, {
      hint: "pools, nodes, queues and projects are made with muster apply -f",
    });
  }
  if (project !== undefined && content["project"] !== undefined && content["project"] !== project) {
    throw new UsageError(`${source} names project ${JSON.stringify(content["project"])}, but the command names ${project}`);
  }
  const spec = project === undefined ? content : { ...content, project };
  const result = resolveJobSpec(spec);
  if (!result.ok) throw new UsageError(`${source} is no valid job`, { details: result.errors, hint: "docs/job-spec.md describes every field" });
  return spec as SubmittedJobSpec;
}

/** A line for each job; an array is one line, its elements counted. */
function describeSubmitted(jobs: readonly JobView[]): string {
  const elements = new Map<string, number>();
  for (const { array } of jobs) if (array) elements.set(array.id, (elements.get(array.id) ?? 0) + 1);
  return jobs
    .filter((job) => job.array === null || job.array.index === 0)
    .map(
      (job) =>
        `${job.name} ${job.id} ${describeState(job)}${job.array ? ` (array of ${elements.get(job.array.id)}, muster job list --array ${job.array.id})` : ""}\n`,
    )
    .join("");
}
