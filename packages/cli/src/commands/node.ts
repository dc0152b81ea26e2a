import type { Command } from "commander";
import { confirm } from "../confirm.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { printList } from "../list.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { nodeShape, renderNode } from "../views/cluster.ts";
import { addDelete } from "./delete.ts";
import { seconds, withLimit, withOutput, withWatch, withYes } from "./options.ts";

interface NodeListOptions {
  pool?: string;
  health?: string;
  limit: number;
  watch?: boolean;
}

export function addNode(program: Command, io: Io, outcome: Outcome): void {
  const node = program.command("node").description("the machines that jobs run on");

  const list = node
    .command("list")
    .alias("ls")
    .description("nodes with their health and their devices")
    .option("--pool <name>", "of this pool")
    .option("--health <states>", "in one of these states, joined by commas");
  withWatch(withLimit(withOutput(list))).action(action<NodeListOptions>(io, outcome, (session, _, options) => listNodes(session, options)));

  const get = node.command("get").description("one node").argument("<node>");
  withOutput(get).action(action(io, outcome, (session, [name = ""]) => showNode(session, name)));

  const cordon = node
    .command("cordon")
    .description("start no new work there; what runs goes on")
    .argument("<node...>")
    .requiredOption("--reason <text>", "why, for all to see");
  withOutput(cordon).action(
    action<{ reason: string }>(io, outcome, async (session, names, { reason }) => {
      for (const name of names) report(session, await session.client.nodes.cordon(name, reason, { signal: session.signal }));
    }),
  );

  const uncordon = node
    .command("uncordon")
    .description("let work start there again")
    .argument("<node...>")
    .option("--reason <text>", "why, for the record", "");
  withOutput(uncordon).action(
    action<{ reason: string }>(io, outcome, async (session, names, { reason }) => {
      for (const name of names) report(session, await session.client.nodes.uncordon(name, reason, { signal: session.signal }));
    }),
  );

  for (const [verb, description] of [
    ["diagnose", "have a repair hook see to nodes that are out of service"],
    ["retire", "take nodes that hold no work out for good; uncordon takes them back"],
  ] as const) {
    const command = node.command(verb).description(description).argument("<node...>").requiredOption("--reason <text>", "why, for all to see");
    withOutput(command).action(
      action<{ reason: string }>(io, outcome, async (session, names, { reason }) => {
        for (const name of names) report(session, await session.client.nodes[verb](name, reason, { signal: session.signal }));
      }),
    );
  }

  const drain = node
    .command("drain")
    .description("let work leave, and start no new work there")
    .argument("<node...>")
    .requiredOption("--reason <text>", "why, for all to see")
    .option("--deadline <duration>", "when what is still there is stopped", seconds);
  withYes(withOutput(drain)).action(
    action<{ reason: string; deadline?: number; yes?: boolean }>(io, outcome, async (session, names, { reason, deadline, yes }) => {
      if (!(await confirm(session, `drain ${names.join(", ")}?`, yes))) {
        session.note("nothing was done");
        return EXIT.error;
      }
      for (const name of names) report(session, await session.client.nodes.drain(name, reason, deadline, { signal: session.signal }));
      return EXIT.ok;
    }),
  );

  const remove = (session: Session, name: string): Promise<unknown> => session.client.declaredNodes.remove(name, { signal: session.signal });
  addDelete(node, "forget nodes that hold no work and are gone for good", remove, io, outcome);
}

export async function listNodes(session: Session, options: NodeListOptions): Promise<void> {
  const { pool, health, limit } = options;
  await printList(session, nodeShape(session), options, () =>
    session.client.nodes.list({ pool, health, limit: limit > 0 ? Math.min(500, limit + 1) : 500 }, { signal: session.signal }),
  );
}

export async function showNode(session: Session, name: string): Promise<void> {
  const found = await session.client.nodes.get(name, { signal: session.signal });
  session.printer.one(
    found,
    (one) => one.name,
    (one) => renderNode(one, session.now, session.colours),
  );
}

function report(session: Session, node: Awaited<ReturnType<Session["client"]["nodes"]["get"]>>): void {
  if (session.printer.isHuman) session.printer.write(`${node.name} ${node.health}${node.drain_deadline ? ` until ${node.drain_deadline}` : ""}\n`);
  else session.printer.lines([node], nodeShape(session));
}
