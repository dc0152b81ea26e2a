import type { MusterClient } from "@muster/client";
import type { Command, OptionValues } from "commander";
import pc from "picocolors";
import { connect, type ConnectOptions } from "./connect.ts";
import { EXIT, Interrupted } from "./exit-codes.ts";
import { hasColours, isFancy, type Io } from "./io.ts";
import { Printer, parseFormat } from "./print.ts";

export type Colours = ReturnType<typeof pc.createColors>;

/** One run of one command: its options, the client, and where words go. */
export class Session {
  readonly io: Io;
  readonly printer: Printer;
  /** For data on standard output. */
  readonly colours: Colours;
  readonly isTerminal: boolean;
  readonly project: string | undefined;
  readonly #options: ConnectOptions;
  #client: MusterClient | undefined;

  constructor(io: Io, options: ConnectOptions & { output?: string; project?: string }) {
    this.io = io;
    this.printer = new Printer(io, parseFormat(options.output ?? "table"));
    this.colours = pc.createColors(hasColours(io.stdout, io.env));
    this.isTerminal = isFancy(io.stdout, io.env);
    this.project = options.project ?? (io.env["MUSTER_PROJECT"] || undefined);
    this.#options = options;
  }

  /** Made when it is first needed, so that commands without a server need none. */
  get client(): MusterClient {
    this.#client ??= connect(this.#options, this.io);
    return this.#client;
  }

  get signal(): AbortSignal {
    return this.io.signal;
  }

  get now(): number {
    return this.io.now();
  }

  /** A message for people. */
  note(text: string): void {
    this.io.stderr.write(`${text}\n`);
  }
}

export type Handler<Options> = (session: Session, args: string[], options: Options) => Promise<number | void>;

/** Where an action leaves the exit code. */
export interface Outcome {
  code: number;
}

/** What commander calls for a command: `args` are its arguments in order, those of a variadic one each by itself. */
export function action<Options>(io: Io, outcome: Outcome, handler: Handler<Options>): (...all: unknown[]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const session = new Session(io, command.optsWithGlobals());
    const args = (command.processedArgs as unknown[]).flat().filter((arg): arg is string => typeof arg === "string");
    try {
      outcome.code = (await handler(session, args, command.opts<OptionValues>() as Options)) ?? EXIT.ok;
    } catch (error) {
      throw io.signal.aborted ? new Interrupted("interrupted", { cause: error }) : error;
    }
  };
}
