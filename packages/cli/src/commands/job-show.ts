import type { Command } from "commander";
import type { Io } from "../io.ts";
import { findJob, findJobId } from "../job-ref.ts";
import { showEvents } from "../show-events.ts";
import { toYaml } from "../print.ts";
import { action, type Outcome } from "../session.ts";
import { renderExplanation } from "../views/explain.ts";
import { displayName } from "../views/job.ts";
import { renderJob } from "../views/job-detail.ts";
import { attemptShape, checkpointShape, workerShape } from "../views/records.ts";
import { pastTime, wholeNumber, withLimit, withOutput, withProject, withWatch } from "./options.ts";

const JOB = "<job>";
const JOB_HELP = "id, or name of the newest job of that name";

/** Commands that show one job, or what belongs to it. */
export function addJobShow(job: Command, io: Io, outcome: Outcome): void {
  const get = job
    .command("get")
    .description("one job with its attempts")
    .argument(JOB, JOB_HELP)
    .option("--spec [view]", "its spec instead: as submitted, or resolved");
  withProject(withOutput(get)).action(
    action<{ spec?: string | true }>(io, outcome, async (session, [reference = ""], options) => {
      const { client, printer, signal } = session;
      if (options.spec !== undefined) {
        const view = options.spec === "resolved" ? "resolved" : "submitted";
        const spec = await client.jobs.spec(await findJobId(session, reference), view, { signal });
        printer.one(spec, () => reference, toYaml);
        return;
      }
      const found = await findJob(session, reference);
      const attempts = printer.isHuman ? await client.jobs.attempts(found.id, { signal }) : [];
      printer.one(
        found,
        (one) => one.id,
        (one) => renderJob(one, attempts, session.now, session.colours),
      );
    }),
  );

  const explain = job.command("explain").description("why it waits, and what to do about it").argument(JOB, JOB_HELP);
  withProject(withOutput(explain)).action(
    action(io, outcome, async (session, [reference = ""]) => {
      const found = await findJob(session, reference);
      const view = await session.client.jobs.explain(found.id, { signal: session.signal });
      session.printer.one(
        view,
        (one) => one.job,
        (one) => renderExplanation(one, displayName(found), session.now, session.colours),
      );
    }),
  );

  const events = job
    .command("events")
    .description("what happened to it, oldest first")
    .argument(JOB, JOB_HELP)
    .option("--since <time>", "since a time, or how long ago (2h)", pastTime);
  withWatch(withLimit(withProject(withOutput(events)))).action(
    action<{ limit: number; watch?: boolean; since?: string }>(io, outcome, async (session, [reference = ""], options) => {
      const id = await findJobId(session, reference);
      await showEvents(session, options, {
        newestFirst: () => session.client.jobs.events(id, { sort: "-id" }, { signal: session.signal }),
        filter: { job: id },
      });
    }),
  );

  const attempts = job.command("attempts").description("its gang starts").argument(JOB, JOB_HELP);
  withProject(withOutput(attempts)).action(
    action(io, outcome, async (session, [reference = ""]) => {
      const found = await session.client.jobs.attempts(await findJobId(session, reference), { signal: session.signal });
      session.printer.list(
        [...found].sort((a, b) => a.number - b.number),
        attemptShape(),
      );
    }),
  );

  const workers = job
    .command("workers")
    .description("the workers of an attempt")
    .argument(JOB, JOB_HELP)
    .option("--attempt <n>", "of this attempt instead of the newest", wholeNumber);
  withProject(withOutput(workers)).action(
    action<{ attempt?: number }>(io, outcome, async (session, [reference = ""], options) => {
      session.printer.list(
        await session.client.jobs.workers(await findJobId(session, reference), options.attempt, { signal: session.signal }),
        workerShape(session),
      );
    }),
  );

  const checkpoints = job.command("checkpoints").description("its accepted checkpoints").argument(JOB, JOB_HELP);
  withProject(withOutput(checkpoints)).action(
    action(io, outcome, async (session, [reference = ""]) => {
      session.printer.list(await session.client.jobs.checkpoints(await findJobId(session, reference), { signal: session.signal }), checkpointShape(session));
    }),
  );
}
