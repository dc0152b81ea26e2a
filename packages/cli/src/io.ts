import type { Readable } from "node:stream";

export interface Sink {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** All that the command touches of the world outside, besides the server. */
export interface Io {
  stdin: Readable & { isTTY?: boolean };
  /** Data alone. */
  stdout: Sink;
  /** Messages for people. */
  stderr: Sink;
  env: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
  now: () => number;
}

/** Colours, progress bars and redrawing are for a terminal that can show them. */
export function isFancy(sink: Sink, env: Io["env"]): boolean {
  return sink.isTTY === true && env["TERM"] !== "dumb";
}

export function hasColours(sink: Sink, env: Io["env"]): boolean {
  return isFancy(sink, env) && !env["NO_COLOR"];
}
