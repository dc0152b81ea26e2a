import { fieldErrors, formatPath, type FieldError } from "@muster/model";
import { z } from "zod";
import { Problem } from "../problems/problem.ts";

interface RequestPart {
  schema: unknown;
  httpPart?: string;
}
type Check = (value: unknown) => { value: unknown } | { error: Error };

/** Checks a part of a request by its schema; what is wrong is told by field. */
export function validate({ schema, httpPart }: RequestPart): Check {
  const part = httpPart ?? "body";
  // a filter that isn't known would be left out, and the answer be of much else
  const zod = part === "querystring" && schema instanceof z.ZodObject ? schema.strict() : (schema as z.ZodType);
  return (value) => {
    const bad = badText(value);
    if (bad) return { error: refuse(part, [bad]) };
    const result = zod.safeParse(part === "body" ? (value ?? undefined) : (value ?? {}));
    return result.success ? { value: result.data } : { error: refuse(part, fieldErrors(result.error, zod)) };
  };
}

/** As `validate`, but hands the body on as it was sent: the route checks it itself. */
export function validateAllButBody(part: RequestPart): Check {
  if (part.httpPart !== "body") return validate(part);
  return (value) => {
    const bad = badText(value);
    return bad ? { error: refuse("body", [bad]) } : { value };
  };
}

function refuse(part: string, errors: readonly FieldError[]): Problem {
  const named = part === "headers" ? errors.map((error) => ({ ...error, path: `headers.${error.path}` })) : errors;
  const first = named[0];
  const detail = first
    ? `${first.path ? `${first.path}: ` : ""}${first.message}${named.length > 1 ? `, and ${named.length - 1} more` : ""}`
    : "It does not fit the schema";
  return new Problem(part === "body" ? "invalid" : "invalid_request", detail, { errors: named });
}

/** Text that no database can keep: NUL, and halves of surrogate pairs. */
function badText(value: unknown, path: readonly (string | number)[] = []): FieldError | undefined {
  if (typeof value === "string") return isKeepable(value) ? undefined : { path: formatPath(path), message: "must not contain NUL or broken Unicode" };
  if (typeof value !== "object" || value === null) return undefined;
  if (path.length > 64) return { path: formatPath(path), message: "is nested too deeply" };
  for (const [key, child] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    if (typeof key === "string" && !isKeepable(key)) return { path: formatPath(path), message: "must not have a key with NUL or broken Unicode" };
    const bad = badText(child, [...path, key]);
    if (bad) return bad;
  }
  return undefined;
}

function isKeepable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}
