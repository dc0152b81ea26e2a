import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { Problem } from "../problems/problem.ts";

export const ifMatchHeaders = z.object({
  "if-match": z.string().max(64).optional().describe('the version that the change is meant for, in quotes, such as "3"'),
});

/** The version that `If-Match` names; undefined where there is none (or `*`). */
export function ifMatch(request: FastifyRequest): number | undefined {
  const header = request.headers["if-match"];
  if (header === undefined || header.trim() === "*") return undefined;
  const version = /^\s*(?:W\/)?"(\d{1,9})"\s*$/.exec(header)?.[1];
  if (version === undefined)
    throw new Problem("invalid_request", 'If-Match: expected a version in quotes, such as "3"', {
      errors: [{ path: "headers.if-match", message: 'expected a version in quotes, such as "3"' }],
    });
  return Number(version);
}

export function mismatch(what: string, is: number | undefined, asked: number): Problem {
  return new Problem(
    "version_mismatch",
    is === undefined
      ? `There is no ${what} yet, so it is not at version ${asked}`
      : `The ${what} is at version ${is}, not ${asked}; read it again and decide anew`,
    { more: { version: is ?? null } },
  );
}

export function setVersion(reply: FastifyReply, version: number): void {
  reply.header("etag", `"${version}"`);
}
