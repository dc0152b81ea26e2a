import type { Declared } from "@muster/client";
import type { PoolView, ProjectView, QueueView } from "@muster/model";
import type { Command } from "commander";
import type { z } from "zod";
import type { Io } from "../io.ts";
import { printList } from "../list.ts";
import { toYaml, type Shape } from "../print.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { renderTable } from "../table.ts";
import { poolShape, projectShape, queueShape } from "../views/cluster.ts";
import { describeState, displayName } from "../views/job.ts";
import { formatAge } from "../text.ts";
import { addDelete } from "./delete.ts";
import { withLimit, withOutput, withWatch } from "./options.ts";

interface ListOptions {
  limit: number;
  watch?: boolean;
}

export function addDeclared(program: Command, io: Io, outcome: Outcome): void {
  const kinds = [
    { noun: "pool", of: "pools", about: "nodes of one architecture", list: listPools, show: showPool, unused: "that have no nodes" },
    { noun: "queue", of: "queues", about: "shares of the cluster", list: listQueues, show: showQueue, unused: "that no job was ever in" },
    { noun: "project", of: "projects", about: "who owns jobs", list: listProjects, show: showProject, unused: "that own no job" },
  ] as const;
  for (const kind of kinds) {
    const group = program.command(kind.noun).description(kind.about);
    const list = group.command("list").alias("ls").description(`all ${kind.noun}s`);
    withWatch(withLimit(withOutput(list))).action(action<ListOptions>(io, outcome, (session, _, options) => kind.list(session, options)));
    const get = group.command("get").description(`one ${kind.noun}`).argument(`<${kind.noun}>`);
    withOutput(get).action(action(io, outcome, (session, [name = ""]) => kind.show(session, name)));
    addDelete(group, `forget ${kind.of} ${kind.unused}`, (session, name) => session.client[kind.of].remove(name, { signal: session.signal }), io, outcome);
  }
}

export function listPools(session: Session, options: ListOptions): Promise<void> {
  return printList(session, poolShape(session), options, () => session.client.pools.list({ signal: session.signal }));
}

export function listQueues(session: Session, options: ListOptions): Promise<void> {
  return printList(session, queueShape(session), options, () => session.client.queues.list({ signal: session.signal }));
}

export function listProjects(session: Session, options: ListOptions): Promise<void> {
  return printList(session, projectShape(), options, () => session.client.projects.list({ signal: session.signal }));
}

export async function showPool(session: Session, name: string): Promise<void> {
  await show<PoolView>(session, session.client.pools, name, poolShape(session));
}

export async function showProject(session: Session, name: string): Promise<void> {
  await show<ProjectView>(session, session.client.projects, name, projectShape());
}

/** Of a queue, also what waits in it, the longest waiting first. */
export async function showQueue(session: Session, name: string): Promise<void> {
  await show<QueueView>(session, session.client.queues, name, queueShape(session));
  if (!session.printer.isHuman) return;
  const { items, next_cursor } = await session.client.jobs.page(
    { queue: name, state: "queued,held", sort: "submitted_at", limit: 20 },
    { signal: session.signal },
  );
  if (items.length === 0) return;
  const table = renderTable(
    [
      { title: "JOB", value: (job: (typeof items)[number]) => displayName(job) },
      { title: "ID", value: (job) => job.id },
      { title: "PRIO", value: (job) => job.priority },
      { title: "STATE", value: (job) => describeState(job) },
      { title: "NODES", value: (job) => String(job.nodes), right: true },
      { title: "WAIT", value: (job) => formatAge(job.submitted_at, session.now), right: true },
      { title: "REASON", value: (job) => job.wait_reason ?? "-" },
    ],
    items,
  );
  session.printer.write(`\nwaiting, longest first\n${table}`);
  if (next_cursor !== null) session.note(`more wait; muster job list -q ${name} --state queued,held shows all`);
}

async function show<T>(session: Session, declared: Declared<z.ZodType<T>>, name: string, shape: Shape<T>): Promise<void> {
  const found = await declared.get(name, { signal: session.signal });
  session.printer.one(found, shape.name, (one) => toYaml(one));
}
