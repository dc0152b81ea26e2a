import type { FieldError } from "@muster/model";
import { ERROR_CODES, type ErrorCode } from "./codes.ts";

export interface ProblemDetails {
  /** What is wrong with which field. */
  errors?: readonly FieldError[];
  /** Further members of the answer, such as what is possible now. */
  more?: Readonly<Record<string, unknown>>;
  headers?: Readonly<Record<string, string>>;
}

/** An answer that is an error: thrown anywhere below a route, sent as RFC 9457 problem details. */
export class Problem extends Error {
  override name = "Problem";
  readonly code: ErrorCode;
  readonly statusCode: number;
  readonly details: ProblemDetails;

  constructor(code: ErrorCode, detail: string, details: ProblemDetails = {}) {
    super(detail);
    this.code = code;
    this.statusCode = ERROR_CODES[code].status;
    this.details = details;
  }

  body(instance: string, requestId: string): Record<string, unknown> {
    return {
      type: `https://muster.dev/errors#${this.code}`,
      title: ERROR_CODES[this.code].title,
      status: this.statusCode,
      code: this.code,
      detail: this.message,
      instance,
      request_id: requestId,
      ...(this.details.errors && this.details.errors.length > 0 && { errors: this.details.errors }),
      ...this.details.more,
    };
  }
}

export function notFound(what: string, name: string): Problem {
  return new Problem("not_found", `There is no ${what} ${name}, or this token may not see it`);
}
