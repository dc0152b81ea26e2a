import type { problem } from "@muster/model";
import type { z } from "zod";

export type Problem = z.output<typeof problem>;

/** Whatever goes wrong between a program and the server; the subclasses say what. */
export class MusterError extends Error {
  override name = "MusterError";
}

/** The server answered that it won't: RFC 9457 problem details. `code` is stable, for programs. */
export class ProblemError extends MusterError {
  override name = "ProblemError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.problem = problem;
  }

  get code(): string {
    return this.problem.code;
  }

  get status(): number {
    return this.problem.status;
  }

  /** What is wrong with which field, where fields are to blame. */
  get errors(): readonly { path: string; message: string }[] {
    return this.problem.errors ?? [];
  }

  get requestId(): string | undefined {
    return this.problem.request_id;
  }
}

/** No answer came: nothing listens there, the name is unknown, the connection broke. */
export class ConnectionError extends MusterError {
  override name = "ConnectionError";
  readonly url: string;
  /** The system's code, such as ECONNREFUSED; undefined where it gave none. */
  readonly code: string | undefined;

  constructor(url: string, cause: unknown) {
    const code = systemCode(cause);
    super(`can't reach ${url}: ${describeCause(cause, code)}`, { cause });
    this.url = url;
    this.code = code;
  }
}

/** No answer came in time. */
export class TimeoutError extends MusterError {
  override name = "TimeoutError";
  readonly url: string;

  constructor(url: string, seconds: number) {
    super(`${url} did not answer within ${seconds} s`);
    this.url = url;
  }
}

/** The server answered what this version doesn't understand. */
export class AnswerError extends MusterError {
  override name = "AnswerError";
}

function systemCode(cause: unknown): string | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    const code = (error as NodeJS.ErrnoException).code;
    if (typeof code === "string") return code;
    // several addresses tried: each failed in its own way, the first tells enough
    if (error instanceof AggregateError && error.errors.length > 0) return systemCode(error.errors[0]);
  }
  return undefined;
}

function describeCause(cause: unknown, code: string | undefined): string {
  const known: Record<string, string> = {
    ECONNREFUSED: "connection refused",
    ECONNRESET: "the connection broke",
    ENOTFOUND: "unknown host name",
    EAI_AGAIN: "the host name can't be looked up now",
    ETIMEDOUT: "connecting took too long",
    UND_ERR_CONNECT_TIMEOUT: "connecting took too long",
    UND_ERR_SOCKET: "the connection broke",
  };
  if (code !== undefined && known[code]) return known[code];
  let deepest = cause;
  while (deepest instanceof Error && deepest.cause instanceof Error) deepest = deepest.cause;
  return deepest instanceof Error ? deepest.message : String(deepest);
}
