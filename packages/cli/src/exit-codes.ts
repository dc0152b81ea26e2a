import { ConnectionError, ProblemError, TimeoutError } from "@muster/client";
import type { JobView } from "@muster/model";

/** What the command ends with; documented in docs/cli.md, so that scripts may rely on it. */
export const EXIT = {
  ok: 0,
  error: 1,
  /** A command line, a file or a field that is wrong. */
  usage: 2,
  auth: 3,
  notFound: 4,
  conflict: 5,
  unavailable: 6,
  /** What `wait` tells of the job itself. */
  jobFailed: 100,
  jobNotFinished: 101,
  jobNotFound: 102,
  jobCancelled: 103,
  interrupted: 130,
} as const;

/** The user asked for something that can't be: wrong arguments, an unreadable file. `hint` says what to do instead. */
export class UsageError extends Error {
  override name = "UsageError";
  readonly details: readonly { path: string; message: string }[];
  readonly hint: string | undefined;

  constructor(message: string, { details = [], hint }: { details?: readonly { path: string; message: string }[]; hint?: string } = {}) {
    super(message);
    this.details = details;
    this.hint = hint;
  }
}

/** There is no such thing, seen by the command itself. */
export class NotFoundError extends Error {
  override name = "NotFoundError";
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** Ctrl-C. */
export class Interrupted extends Error {
  override name = "Interrupted";
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return EXIT.interrupted;
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof NotFoundError) return EXIT.notFound;
  if (error instanceof ConnectionError || error instanceof TimeoutError) return EXIT.unavailable;
  if (error instanceof ProblemError) return exitCodeOfStatus(error.status);
  return EXIT.error;
}

function exitCodeOfStatus(status: number): number {
  if (status === 400 || status === 413 || status === 415 || status === 422) return EXIT.usage;
  if (status === 401 || status === 403) return EXIT.auth;
  if (status === 404) return EXIT.notFound;
  if (status === 409 || status === 412 || status === 428) return EXIT.conflict;
  if (status === 429 || status === 502 || status === 503 || status === 504) return EXIT.unavailable;
  return EXIT.error;
}

/** What `wait` answers for several jobs: not found before not finished before failed before cancelled before succeeded. */
export function waitExitCode(jobs: readonly Pick<JobView, "state">[]): number {
  const states = jobs.map((job) => job.state);
  if (states.some((state) => !["succeeded", "failed", "cancelled"].includes(state))) return EXIT.jobNotFinished;
  if (states.includes("failed")) return EXIT.jobFailed;
  return states.includes("cancelled") ? EXIT.jobCancelled : EXIT.ok;
}
