import type { Query } from "@muster/client";
import type { EventView } from "@muster/model";
import type { Command } from "commander";
import type { Io } from "../io.ts";
import { findJobId } from "../job-ref.ts";
import { printList, take } from "../list.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { eventShape, incidentShape } from "../views/records.ts";
import { pastTime, withLimit, withOutput, withProject, withWatch } from "./options.ts";

interface EventOptions {
  job?: string;
  node?: string;
  kind?: string;
  since?: string;
  limit: number;
  watch?: boolean;
}

/** What happened in the cluster: events and incidents. */
export function addFeeds(program: Command, io: Io, outcome: Outcome): void {
  const events = program
    .command("events")
    .description("what happened, to whom, by whom")
    .option("--job <job>", "to this job")
    .option("--node <name>", "to this node")
    .option("--kind <kind>", "of this kind, such as job.submitted")
    .option("--since <time>", "since a time, or how long ago (2h)", pastTime);
  withWatch(withLimit(withProject(withOutput(events)))).action(action<EventOptions>(io, outcome, (session, _, options) => showEvents(session, options)));

  const incidents = program.command("incidents").description("faults: what was seen, what it was taken for, what was done").option("--open", "only those still open").option("--since <time>", "opened since a time, or how long ago (7d)", pastTime);
  withLimit(withProject(withOutput(incidents))).action(
    action<{ open?: boolean; since?: string; limit: number }>(io, outcome, (session, _, options) =>
      printList(session, incidentShape(session), options, () => session.client.incidents({ project: session.project, ...(options.open && { open: true }), since: options.since, limit: options.limit > 0 ? Math.min(500, options.limit + 1) : 500 }, { signal: session.signal })),
    ),
  );
}

async function showEvents(session: Session, options: EventOptions): Promise<void> {
  const { client, project, signal, printer } = session;
  const job = options.job === undefined ? undefined : await findJobId(session, options.job);
  const query: Query = { project, job, node: options.node, kind: options.kind, since: options.since };
  const shape = eventShape(session);
  if (!options.watch) {
    await printList(session, shape, options, () => client.events({ ...query, limit: options.limit > 0 ? Math.min(500, options.limit + 1) : 500 }, { signal }));
    return;
  }
  // what already happened is shown only where a past time is asked for
  let header = true;
  const print = (event: EventView): void => {
    if (printer.isHuman) printer.list([event], shape, header);
    else printer.lines([event], shape);
    header = false;
  };
  let last: string | undefined;
  if (options.since !== undefined) {
    const { items } = await take(client.events(query, { signal }), 0);
    for (const event of oldestFirst(items)) {
      print(event);
      last = event.id;
    }
  }
  for await (const event of client.streamEvents({ project, job, lastEventId: last, signal })) {
    if ((options.node === undefined || event.node === options.node) && (options.kind === undefined || event.kind === options.kind)) print(event);
  }
}

function oldestFirst(events: readonly EventView[]): EventView[] {
  return [...events].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}
