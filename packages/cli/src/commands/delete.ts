import type { Command } from "commander";
import { confirm } from "../confirm.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { withYes } from "./options.ts";

/** `delete NAME...` of a command for one kind of thing: asks once, then removes each and says so. */
export function addDelete(parent: Command, description: string, remove: (session: Session, name: string) => Promise<unknown>, io: Io, outcome: Outcome): void {
  const command = parent.command("delete").description(description).argument(`<${parent.name()}...>`);
  withYes(command).action(
    action<{ yes?: boolean }>(io, outcome, async (session, names, { yes }) => {
      if (!(await confirm(session, `delete ${names.join(", ")}?`, yes))) {
        session.note("nothing was done");
        return EXIT.error;
      }
      for (const name of names) {
        await remove(session, name);
        session.printer.write(`${name} deleted\n`);
      }
      return EXIT.ok;
    }),
  );
}
