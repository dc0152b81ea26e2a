import { isConnectionError, sqlState } from "@muster/store";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Problem } from "./problem.ts";

export function installErrorHandler(app: FastifyInstance): void {
  app.setErrorHandler((error: unknown, request, reply) => {
    const problem = toProblem(error);
    if (problem.statusCode >= 500) request.log.error({ err: error }, "request failed");
    return sendProblem(request, reply, problem);
  });
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const path = request.url.split("?")[0] ?? "/";
  return reply
    .code(problem.statusCode)
    .headers(problem.details.headers ?? {})
    .type("application/problem+json")
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem.body(path, request.id));
}

/** Nothing of an unexpected error's text goes out: it may carry what is not the asker's. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { code, statusCode, message } =
    error instanceof Error ? (error as Error & { code?: string; statusCode?: number }) : { code: undefined, statusCode: undefined, message: "" };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return new Problem("body_too_large", "The body is larger than this route takes; send less, or in several requests");
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") return new Problem("unsupported_media_type", "Send application/json, or application/yaml");
  if (code?.startsWith("FST_ERR_CTP_") || code?.startsWith("FST_ERR_BAD_URL") || code === "FST_ERR_INVALID_JSON_BODY")
    return new Problem("malformed_body", message);
  const state = sqlState(error);
  // data that Postgres can't hold got past the schemas: the input's fault, and nothing of it was kept
  if (state?.startsWith("22")) return new Problem("invalid", "A value is out of the range that can be stored");
  // the database's own guard against taking away devices that are in use
  if (state === "MU003") return new Problem("in_use", message);
  if (isConnectionError(error) || state === "57014" || state === "40001" || state === "40P01" || state === "55P03") {
    return new Problem("unavailable", "The database can't be asked now; try again", { headers: { "retry-after": "1" } });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return new Problem(statusCode === 404 ? "not_found" : "invalid_request", message);
  return new Problem("internal", "Something went wrong; the server's log has more under this request_id");
}
