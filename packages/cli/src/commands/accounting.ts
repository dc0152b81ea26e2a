import type { Command } from "commander";
import type { Io } from "../io.ts";
import { action, type Outcome } from "../session.ts";
import { renderAccount } from "../views/account.ts";
import { seconds, withOutput, withProject } from "./options.ts";

/** What the cluster's time went into. */
export function addAccounting(program: Command, io: Io, outcome: Outcome): void {
  const accounting = program
    .command("accounting")
    .description("ETTR, goodput, times to recover and what faults cost, of jobs that ran lately")
    .option("--since <duration>", "jobs that ran since so long ago, such as 24h", seconds, 604_800)
    .option("-q, --queue <name>", "of this queue");
  withProject(withOutput(accounting)).action(
    action<{ since: number; queue?: string }>(io, outcome, async (session, _, { since, queue }) => {
      const found = await session.client.accounting({ since, queue, project: session.project }, { signal: session.signal });
      session.printer.one(
        found,
        (one) => one.as_of,
        (one) => renderAccount(one, session.colours),
      );
    }),
  );
}
