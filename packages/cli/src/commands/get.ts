import { nearest } from "@muster/model";
import type { Command } from "commander";
import { UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { findJob } from "../job-ref.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { renderJob } from "../views/job-detail.ts";
import { listPools, listProjects, listQueues, showPool, showProject, showQueue } from "./declared.ts";
import { listJobs } from "./job-list.ts";
import { listNodes, showNode } from "./node.ts";
import { withLimit, withOutput, withProject, withWatch } from "./options.ts";
import { listWindows, showWindow } from "./window.ts";

interface GetOptions {
  limit: number;
  watch?: boolean;
}

interface Kind {
  list: (session: Session, options: GetOptions) => Promise<void>;
  show: (session: Session, name: string) => Promise<void>;
}

const KINDS: Record<string, Kind> = {
  job: { list: listJobs, show: showJob },
  node: { list: listNodes, show: showNode },
  pool: { list: listPools, show: showPool },
  queue: { list: listQueues, show: showQueue },
  project: { list: listProjects, show: showProject },
  window: { list: listWindows, show: showWindow },
};

export function addGet(program: Command, io: Io, outcome: Outcome): void {
  const names = Object.keys(KINDS);
  const get = program
    .command("get")
    .description(`list or show any kind of thing: ${names.join(", ")}`)
    .argument("<kind>", "in the singular or plural")
    .argument("[name]");
  withWatch(withLimit(withProject(withOutput(get)))).action(
    action<GetOptions>(io, outcome, async (session, [word = "", name], options) => {
      const singular = word.toLowerCase().replace(/s$/, "");
      const kind = KINDS[singular];
      if (!kind) {
        const near = nearest(singular, names);
        throw new UsageError(`there is no kind "${word}"${near ? `; did you mean ${near}?` : ""}`, { hint: `use one of ${names.join(", ")}` });
      }
      if (name === undefined) return kind.list(session, options);
      if (options.watch) throw new UsageError("-w is for lists", { hint: `leave out ${name}, or use muster ${singular} list -w` });
      return kind.show(session, name);
    }),
  );
}

async function showJob(session: Session, reference: string): Promise<void> {
  const job = await findJob(session, reference);
  const attempts = session.printer.isHuman ? await session.client.jobs.attempts(job.id, { signal: session.signal }) : [];
  session.printer.one(
    job,
    (one) => one.id,
    (one) => renderJob(one, attempts, session.now, session.colours),
  );
}
