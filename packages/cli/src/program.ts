import { Command, type CommanderError } from "commander";
import { addApply } from "./commands/apply.ts";
import { addAccounting } from "./commands/accounting.ts";
import { addAdmin, addCluster } from "./commands/cluster.ts";
import { addCompletion } from "./commands/completion.ts";
import { addDeclared } from "./commands/declared.ts";
import { addFeeds } from "./commands/feeds.ts";
import { addGet } from "./commands/get.ts";
import { addJob } from "./commands/job.ts";
import { addNode } from "./commands/node.ts";
import { addScheduler } from "./commands/scheduler.ts";
import { addToken } from "./commands/token.ts";
import { EXIT, exitCodeOf } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { reportError } from "./report-error.ts";
import { action, type Outcome } from "./session.ts";
import { addWindow } from "./commands/window.ts";
import { VERSION } from "./version.ts";

export function buildProgram(io: Io, outcome: Outcome): Command {
  const program = new Command("muster")
    .description("queues, places, starts, watches and brings back training jobs")
    .version(VERSION, "--version")
    .option("--server <url>", "the server (default: MUSTER_SERVER, else the embedded one of this user)")
    .option("--token-file <file>", "a file that holds the token (default: MUSTER_TOKEN, else the embedded server's)")
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(true)
    .addHelpText(
      "after",
      `
Exit codes: 0 ok, 1 error, 2 wrong command line or file, 3 not allowed, 4 not found, 5 conflict, 6 unavailable, 130 Ctrl-C;
of wait, submit --wait and --follow: 0 succeeded, 100 failed, 101 not finished, 102 not found, 103 cancelled.`,
    );
  addJob(program, io, outcome);
  addNode(program, io, outcome);
  addDeclared(program, io, outcome);
  addWindow(program, io, outcome);
  addApply(program, io, outcome);
  addGet(program, io, outcome);
  addToken(program, io, outcome);
  addFeeds(program, io, outcome);
  addAccounting(program, io, outcome);
  addCluster(program, io, outcome);
  addAdmin(program, io, outcome);
  addScheduler(program, io, outcome);
  addCompletion(program, io, outcome);
  program
    .command("version")
    .description("the version of this command")
    .action(
      action(io, outcome, async (session) => {
        session.printer.write(`muster ${VERSION}\n`);
        return Promise.resolve();
      }),
    );
  prepare(program, io);
  return program;
}

/** Runs one command line. @param args without the program's name. @returns the exit code */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const outcome: Outcome = { code: EXIT.ok };
  const program = buildProgram(io, outcome);
  try {
    await program.parseAsync([...args], { from: "user" });
    return outcome.code;
  } catch (error) {
    if (isCommanderError(error)) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    reportError(error, io);
    return exitCodeOf(error);
  }
}

/** Commander must neither end the process nor write past `io`. */
function prepare(command: Command, io: Io): void {
  command.exitOverride().configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) });
  command.showHelpAfterError(`(muster ${pathOf(command)}--help shows what there is)`);
  for (const child of command.commands) prepare(child, io);
}

function pathOf(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one?.parent; one = one.parent) names.unshift(one.name());
  return names.map((name) => `${name} `).join("");
}

function isCommanderError(error: unknown): error is CommanderError {
  return error instanceof Error && "exitCode" in error && "code" in error && (error as CommanderError).code.startsWith("commander.");
}
