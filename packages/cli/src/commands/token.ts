import { ROLES } from "@muster/model";
import { Option, type Command } from "commander";
import { confirm } from "../confirm.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { printList } from "../list.ts";
import { action, type Outcome } from "../session.ts";
import { tokenShape } from "../views/records.ts";
import { seconds, withLimit, withOutput, withYes } from "./options.ts";

interface CreateOptions {
  role: (typeof ROLES)[number];
  project?: string;
  description: string;
  expiresIn?: number;
}

export function addToken(program: Command, io: Io, outcome: Outcome): void {
  const token = program.command("token").description("who may speak to the server, and what they may do");

  const create = token
    .command("create")
    .description("make a token; it is shown once, on standard output")
    .argument("<subject>", "who or what will use it")
    .addOption(new Option("--role <role>", "what it may do").choices(ROLES).makeOptionMandatory())
    .option("-p, --project <name>", "in this project alone (default: in all)")
    .option("--description <text>", "what it is for", "")
    .option("--expires-in <duration>", "how long it is good for, such as 30d (default: for ever)", seconds);
  withOutput(create).action(
    action<CreateOptions>(io, outcome, async (session, [subject = ""], options) => {
      const made = await session.client.tokens.create(
        {
          subject,
          role: options.role,
          project: options.project ?? null,
          description: options.description,
          ...(options.expiresIn !== undefined && { expires_in: options.expiresIn }),
        },
        { signal: session.signal },
      );
      session.printer.one(
        made,
        (one) => one.id,
        (one) => `${one.token}\n`,
      );
      if (session.printer.isHuman)
        session.note(
          `token ${made.id} for ${made.subject}, role ${made.role}, ${made.project === null ? "all projects" : `project ${made.project}`}; it can't be shown again. Keep it in a file of mode 0600 and use it with --token-file, or in MUSTER_TOKEN`,
        );
    }),
  );

  const list = token.command("list").alias("ls").description("all tokens, without their secrets");
  withLimit(withOutput(list)).action(
    action<{ limit: number }>(io, outcome, (session, _, options) =>
      printList(session, tokenShape(session), options, () => session.client.tokens.list({ signal: session.signal })),
    ),
  );

  const revoke = token.command("revoke").description("make tokens useless at once").argument("<id...>", "as muster token list shows them");
  withYes(revoke).action(
    action<{ yes?: boolean }>(io, outcome, async (session, ids, options) => {
      if (!(await confirm(session, `revoke ${ids.join(", ")}?`, options.yes))) {
        session.note("nothing was done");
        return EXIT.error;
      }
      for (const id of ids) {
        await session.client.tokens.revoke(id, { signal: session.signal });
        session.printer.write(`${id} revoked\n`);
      }
      return EXIT.ok;
    }),
  );
}
