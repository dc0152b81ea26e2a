import { ProblemError, type JobAction } from "@muster/client";
import type { Command } from "commander";
import { confirm } from "../confirm.ts";
import { EXIT, UsageError, exitCodeOf } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { findJob, findJobId } from "../job-ref.ts";
import { action, type Outcome } from "../session.ts";
import { reportError } from "../report-error.ts";
import { describeState, jobShape } from "../views/job.ts";
import { withOutput, withProject, withYes } from "./options.ts";

interface Act {
  name: JobAction;
  description: string;
  /** Asked on a terminal before it is done. */
  question?: string;
}

const ACTS: readonly Act[] = [
  { name: "cancel", description: "end it for good, after its grace", question: "cancel" },
  { name: "hold", description: "keep it from starting until it is released" },
  { name: "release", description: "let a held job start" },
  { name: "suspend", description: "checkpoint and stop it until it is resumed" },
  { name: "resume", description: "let a suspended job start again" },
  { name: "requeue", description: "stop it and put it back into its queue", question: "stop and requeue" },
  { name: "checkpoint", description: "ask it to write a checkpoint now" },
];

export function addJobActs(job: Command, io: Io, outcome: Outcome): void {
  for (const act of ACTS) {
    const command = job
      .command(act.name)
      .description(act.description)
      .argument("<job...>", "ids, or names of the newest jobs of these names")
      .option("--reason <text>", "why, for the record", "");
    if (act.question) withYes(command);
    withProject(withOutput(command)).action(
      action<{ reason: string; yes?: boolean }>(io, outcome, async (session, references, options) => {
        const targets: string[] = [];
        for (const reference of references) targets.push(await findJobId(session, reference));
        if (act.question && !(await confirm(session, `${act.question} ${references.join(", ")}?`, options.yes))) {
          session.note("nothing was done");
          return EXIT.error;
        }
        let worst: number = EXIT.ok;
        for (const [index, id] of targets.entries()) {
          try {
            const after = await session.client.jobs.act(id, act.name, options.reason, { signal: session.signal });
            if (session.printer.isHuman) session.printer.write(`${after.name} ${after.id} ${describeState(after)}\n`);
            else session.printer.lines([after], jobShape(session));
          } catch (error) {
            // of several jobs, one that can't must not keep the others from it
            if (targets.length === 1 || !(error instanceof ProblemError)) throw error;
            reportError(error, io, references[index]);
            worst = Math.max(worst, exitCodeOf(error));
          }
        }
        return worst;
      }),
    );
  }

  const update = job
    .command("update")
    .description("change a job that is not finished")
    .argument("<job>", "id, or name of the newest job of that name")
    .option("--priority <class>", "its priority class, such as low, normal, high");
  withProject(withOutput(update)).action(
    action<{ priority?: string }>(io, outcome, async (session, [reference = ""], options) => {
      if (options.priority === undefined) throw new UsageError("nothing to change", { hint: "give --priority CLASS" });
      const before = await findJob(session, reference);
      const after = await session.client.jobs.update(before.id, { priority: options.priority }, before.version, { signal: session.signal });
      session.printer.one(
        after,
        (one) => one.id,
        (one) => `${one.name} ${one.id} priority ${one.priority}\n`,
      );
    }),
  );
}
