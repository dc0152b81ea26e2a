import { AnswerError, ConnectionError, ProblemError, TimeoutError } from "@muster/client";
import { Interrupted, NotFoundError, UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { clean } from "./text.ts";

/** Tells what went wrong, which fields are to blame, and what to do next. @param about what it happened to, where that is not plain */
export function reportError(error: unknown, io: Io, about?: string): void {
  if (error instanceof Interrupted) return;
  const lines = [`error: ${about === undefined ? "" : `${about}: `}${messageOf(error)}`];
  const fields = error instanceof ProblemError ? error.errors : error instanceof UsageError ? error.details : [];
  // one that the message has said already is not said again
  const told = fields.length === 1 && messageOf(error).includes(clean(fields[0]?.message ?? ""));
  for (const field of told ? [] : fields) lines.push(`  ${field.path === "" ? "(the whole)" : clean(field.path)}: ${clean(field.message)}`);
  const hint = hintOf(error);
  if (hint !== undefined) lines.push(`hint: ${hint}`);
  if (error instanceof ProblemError && error.requestId !== undefined && error.status >= 500)
    lines.push(`request: ${clean(error.requestId)} (the server's log tells more)`);
  io.stderr.write(`${lines.join("\n")}\n`);
}

/** Kinds that the command lists. */
const LISTED = ["job", "node", "pool", "queue", "project", "window", "token"];

function messageOf(error: unknown): string {
  if (error instanceof ProblemError) return `${clean(error.message)} (${clean(error.code)})`;
  return error instanceof Error ? error.message : String(error);
}

function hintOf(error: unknown): string | undefined {
  if (error instanceof UsageError || error instanceof NotFoundError) return error.hint;
  if (error instanceof ConnectionError) return "is Muster running there? npm start starts one on this machine; --server URL or MUSTER_SERVER names another";
  if (error instanceof TimeoutError) return "the server is busy or unwell; its /readyz tells more";
  if (error instanceof AnswerError) return "muster version shows this command's version; the server may be another, or another program";
  if (!(error instanceof ProblemError)) return undefined;
  switch (error.status) {
    case 401:
      return "the token is missing, unknown or has expired: give one with --token-file FILE or MUSTER_TOKEN";
    case 403:
      return "this token's role or project does not allow it; an admin makes another with muster token create";
    case 404: {
      if (error.problem.instance?.endsWith("/logs")) return "muster job workers JOB shows its workers";
      const kind = LISTED.find((one) => error.problem.instance?.startsWith(`/v1/${one}s`));
      return kind ? `muster ${kind} list shows which there are` : "muster job list, or muster get pools|nodes|queues|projects, show what there is";
    }
    case 409:
      if (error.message.includes("possible now")) return undefined;
      return error.problem.instance?.startsWith("/v1/jobs") === false ? undefined : "its state does not allow it now; muster job get shows its state";
    case 412:
      return "it was changed meanwhile; look at it again, then repeat the command";
    case 429:
      return "too many requests with this token; wait a moment";
    case 503:
      return "the server is starting or without its database; try again in a moment";
    default:
      return undefined;
  }
}
