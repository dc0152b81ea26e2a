import type { IncidentView } from "@muster/model";
import type { Command } from "commander";
import type { Io } from "../io.ts";
import { findJobId } from "../job-ref.ts";
import { printList } from "../list.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { showEvents } from "../show-events.ts";
import { incidentShape } from "../views/records.ts";
import { pastTime, withLimit, withOutput, withProject, withWatch } from "./options.ts";

interface EventOptions {
  job?: string;
  node?: string;
  kind?: string;
  since?: string;
  limit: number;
  watch?: boolean;
}

interface IncidentOptions {
  job?: string;
  node?: string;
  open?: boolean;
  since?: string;
  limit: number;
  watch?: boolean;
}

/** What happened in the cluster: events and incidents. */
export function addFeeds(program: Command, io: Io, outcome: Outcome): void {
  const events = program
    .command("events")
    .description("what happened, to whom, by whom, oldest first")
    .option("--job <job>", "to this job")
    .option("--node <name>", "to this node")
    .option("--kind <kind>", "of this kind, such as job.submitted, or of all that begin so: job.")
    .option("--since <time>", "since a time, or how long ago (2h)", pastTime);
  withWatch(withLimit(withProject(withOutput(events)))).action(
    action<EventOptions>(io, outcome, async (session, _, options) => {
      const filter = {
        project: session.project,
        job: options.job === undefined ? undefined : await findJobId(session, options.job),
        node: options.node,
        kind: options.kind,
      };
      const limit = options.limit > 0 ? Math.min(500, options.limit + 1) : 500;
      await showEvents(session, options, { newestFirst: () => session.client.events({ ...filter, limit }, { signal: session.signal }), filter });
    }),
  );

  const incidents = program
    .command("incidents")
    .description("faults, newest first: what was seen, what it was taken for, what was done")
    .option("--job <job>", "of this job")
    .option("--node <name>", "of this node")
    .option("--open", "only those still open")
    .option("--since <time>", "opened since a time, or how long ago (7d)", pastTime);
  withWatch(withLimit(withProject(withOutput(incidents)))).action(
    action<IncidentOptions>(io, outcome, async (session, _, options) => {
      const job = options.job === undefined ? undefined : await findJobId(session, options.job);
      await printList(session, incidentShape(session), options, () => incidentsOf(session, job, options));
    }),
  );
}

async function* incidentsOf(session: Session, job: string | undefined, { node, open, since }: IncidentOptions): AsyncGenerator<IncidentView> {
  const from = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(since);
  for await (const incident of session.client.incidents({ job, node, ...(open && { open: true }) }, { signal: session.signal })) {
    if (Date.parse(incident.opened_at) < from) return;
    if (session.project === undefined || incident.project === session.project) yield incident;
  }
}
