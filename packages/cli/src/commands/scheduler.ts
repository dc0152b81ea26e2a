import type { Replay } from "@muster/replay/recording";
import { InvalidArgumentError, type Command } from "commander";
import { EXIT, NotFoundError, UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { toYaml } from "../print.ts";
import { action, type Outcome } from "../session.ts";
import { renderReplay } from "../views/replay.ts";
import { wholeNumber, withOutput } from "./options.ts";

export function addScheduler(program: Command, io: Io, outcome: Outcome): void {
  const scheduler = program.command("scheduler").description("what the scheduler decided, and why");
  const replay = scheduler
    .command("replay <file>")
    .description("tell a new placement engine all that a recorded one was told, and compare what it decides; needs no server")
    .option("--cycle <n>", "stop after this cycle, counted from 1, and show what it decided", cycleNumber)
    .option("--explain <job>", "why this job waits where the replay stops");
  withOutput(replay).action(
    action<{ cycle?: number; explain?: string }>(io, outcome, async (session, [file = ""], options) => {
      const found = await run(file, options);
      session.printer.one(
        found,
        () => (found.difference ? "different" : "identical"),
        (one) => renderReplay(one, toYaml),
      );
      return found.difference ? EXIT.error : EXIT.ok;
    }),
  );
}

async function run(file: string, options: { cycle?: number; explain?: string }): Promise<Replay> {
  // no other command needs the engine
  const { replayRecording, RecordingError } = await import("@muster/replay/recording");
  try {
    return await replayRecording(file, options);
  } catch (error) {
    if (error instanceof RecordingError) throw new UsageError(`${file}: ${error.message}`);
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      throw new NotFoundError(`there is no file ${file}`, "the scheduler records into <state folder>/recordings, or the folder in MUSTER_RECORDINGS");
    if (error instanceof Error && "syscall" in error) throw new UsageError(`${file} can't be read: ${error.message}`);
    throw error;
  }
}

function cycleNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError("cycles are counted from 1");
  return value;
}
