import { parseDuration } from "@muster/model";
import { Command, InvalidArgumentError } from "commander";
import { FORMATS } from "../print.ts";

/** A command that prints data. */
export function withOutput(command: Command): Command {
  return command.option("-o, --output <format>", FORMATS.join("|"), "table");
}

export function withProject(command: Command): Command {
  return command.option("-p, --project <name>", "the project (default: MUSTER_PROJECT)");
}

export function withLimit(command: Command): Command {
  return command.option("--limit <n>", "show at most so many, 0 for all", wholeNumber, 100);
}

export function withWatch(command: Command): Command {
  return command.option("-w, --watch", "go on showing changes until Ctrl-C");
}

export function withYes(command: Command): Command {
  return command.option("-y, --yes", "don't ask");
}

/** Commander's parsers of option values; what they throw becomes a usage error that names the option. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("expected a whole number");
  return Number(text);
}

export function seconds(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new InvalidArgumentError("expected a duration such as 90s, 5m or 1h30m");
  return value;
}

/** `2h` (that long ago) or a time, as RFC 3339. */
export function pastTime(text: string): string {
  const ago = parseDuration(text);
  if (ago !== undefined) return new Date(Date.now() - ago * 1000).toISOString();
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError("expected how long ago, such as 2h, or a time such as 2026-03-01T10:00:00Z");
  return new Date(at).toISOString();
}

/** For options that may be given several times. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

export function keyValue(text: string, before: string[] = []): string[] {
  if (!/^[^=,]+=[^,]*$/.test(text)) throw new InvalidArgumentError("expected key=value");
  return [...before, text];
}
