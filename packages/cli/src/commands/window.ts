import { parseDuration } from "@muster/model";
import { InvalidArgumentError, type Command } from "commander";
import type { Io } from "../io.ts";
import { printList } from "../list.ts";
import { toYaml } from "../print.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { windowShape } from "../views/window.ts";
import { addDelete } from "./delete.ts";
import { collect, seconds, withLimit, withOutput, withWatch } from "./options.ts";

interface CreateOptions {
  node?: string[];
  pool?: string;
  block?: string;
  start: string;
  end?: string;
  for?: number;
  job?: string[];
  queue?: string[];
  reason: string;
}

export function addWindow(program: Command, io: Io, outcome: Outcome): void {
  const window = program.command("window").description("nodes kept free for a time: maintenance, or a reservation for some jobs or queues");

  const list = window.command("list").alias("ls").description("all windows, by their start");
  withWatch(withLimit(withOutput(list))).action(
    action<{ limit: number; watch?: boolean }>(io, outcome, (session, _, options) => listWindows(session, options)),
  );

  const get = window.command("get").description("one window").argument("<window>");
  withOutput(get).action(action(io, outcome, (session, [name = ""]) => showWindow(session, name)));

  const create = window
    .command("create")
    .description("keep nodes free; nothing is started there that could neither end nor checkpoint before")
    .argument("<name>")
    .option("--node <name>", "this node; may be repeated", collect)
    .option("--pool <name>", "all nodes of this pool")
    .option("--block <path>", "only those in one block of the pool's fabric, such as spine-1/leaf-7")
    .requiredOption("--start <time>", "a time such as 2026-03-01T10:00:00Z, or how long from now, such as 2h", futureTime)
    .option("--end <time>", "likewise", futureTime)
    .option("--for <duration>", "instead of --end: how long it lasts", seconds)
    .option("--job <id>", "a job that may use the nodes; may be repeated", collect)
    .option("--queue <name>", "a queue whose jobs may use the nodes; may be repeated", collect)
    .option("--reason <text>", "why, for all to see", "");
  withOutput(create).action(
    action<CreateOptions>(io, outcome, async (session, [name = ""], options) => {
      const end = options.end ?? new Date(Date.parse(options.start) + (options.for ?? 3600) * 1000).toISOString();
      const made = await session.client.windows.put(
        name,
        {
          name,
          nodes: options.node ?? [],
          ...(options.pool !== undefined && { pool: options.pool }),
          block: options.block?.split("/") ?? [],
          start: options.start,
          end,
          jobs: options.job ?? [],
          queues: options.queue ?? [],
          reason: options.reason,
        },
        { signal: session.signal },
      );
      if (session.printer.isHuman) session.printer.write(`${made.name}: ${made.node_count} nodes from ${made.start} to ${made.end}\n`);
      else session.printer.lines([made], windowShape(session));
    }),
  );

  const remove = (session: Session, name: string): Promise<unknown> => session.client.windows.remove(name, { signal: session.signal });
  addDelete(window, "give the nodes of windows back", remove, io, outcome);
}

export function listWindows(session: Session, options: { limit: number; watch?: boolean }): Promise<void> {
  return printList(session, windowShape(session), options, () => session.client.windows.list({ signal: session.signal }));
}

export async function showWindow(session: Session, name: string): Promise<void> {
  const found = await session.client.windows.get(name, { signal: session.signal });
  session.printer.one(
    found,
    (one) => one.name,
    (one) => toYaml(one),
  );
}

/** `2h` (that long from now) or a time, as RFC 3339. */
function futureTime(text: string): string {
  const ahead = parseDuration(text);
  const at = ahead === undefined ? Date.parse(text) : Date.now() + ahead * 1000;
  if (Number.isNaN(at)) throw new InvalidArgumentError("expected how long from now, such as 2h, or a time such as 2026-03-01T10:00:00Z");
  return new Date(at).toISOString();
}
