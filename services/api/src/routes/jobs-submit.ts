import { jobSpec, jobView } from "@muster/model";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import type { App, Context } from "../context.ts";
import { BODY_TYPES } from "../plugins/body-parsers.ts";
import { validateAllButBody } from "../plugins/validation.ts";
import { Problem } from "../problems/problem.ts";
import type { SubmissionAnswer } from "../submit/commit.ts";

const submitQuery = z.object({ hold: z.stringbool().optional().describe("keep it held until it is released") });
export const idempotencyHeaders = z.object({
  "idempotency-key": z.string().min(1).max(255).optional().describe("the same key with the same body gives the first answer again"),
});
const MOST_SPECS = 1000;
const batchBody = z.strictObject({ jobs: z.array(jobSpec).min(1).max(MOST_SPECS) });

/** Specs are checked by the submission itself: it merges variants, and names fields as they were sent. */
export function submitRoutes(app: App, { submitter, limits }: Context): void {
  app.post(
    "/v1/jobs",
    {
      validatorCompiler: validateAllButBody,
      schema: {
        operationId: "submitJob",
        tags: ["jobs"],
        consumes: BODY_TYPES,
        summary: "Submit a job; of an array, the answer is its first element",
        querystring: submitQuery,
        headers: idempotencyHeaders,
        body: jobSpec,
        response: { 201: jobView },
      },
    },
    async (request, reply) => {
      const answer = await submitter.submit({
        identity: identityOf(request),
        specs: [request.body],
        many: false,
        held: request.query.hold ?? false,
        idempotencyKey: request.headers["idempotency-key"],
      });
      return send(reply.header("location", `/v1/jobs/${(answer.body as { id: string }).id}`), answer);
    },
  );
  app.post(
    "/v1/jobs/batch",
    {
      bodyLimit: limits.batchBody,
      validatorCompiler: validateAllButBody,
      schema: {
        operationId: "submitJobs",
        tags: ["jobs"],
        consumes: BODY_TYPES,
        summary: "Submit several jobs, all or none; `after` may name one of them by its name",
        querystring: submitQuery,
        headers: idempotencyHeaders,
        body: batchBody,
        response: { 201: z.object({ items: z.array(jobView) }) },
      },
    },
    async (request, reply) =>
      send(
        reply,
        await submitter.submit({
          identity: identityOf(request),
          specs: specsOf(request.body),
          many: true,
          held: request.query.hold ?? false,
          idempotencyKey: request.headers["idempotency-key"],
        }),
      ),
  );
}

function specsOf(body: unknown): unknown[] {
  const jobs = typeof body === "object" && body !== null && "jobs" in body ? body.jobs : undefined;
  const extra = typeof body === "object" && body !== null ? Object.keys(body).find((key) => key !== "jobs") : undefined;
  if (!Array.isArray(jobs) || jobs.length === 0)
    throw new Problem("invalid", "jobs: expected a list of job specs", { errors: [{ path: "jobs", message: "expected a list of job specs" }] });
  if (extra !== undefined)
    throw new Problem("invalid", `${extra}: unknown field`, { errors: [{ path: extra, message: "unknown field; expected jobs alone" }] });
  if (jobs.length > MOST_SPECS)
    throw new Problem("invalid", `jobs: expected at most ${MOST_SPECS}`, { errors: [{ path: "jobs", message: `expected at most ${MOST_SPECS}` }] });
  return jobs as unknown[];
}

/** The answer's shape is made by our own code, so it is not checked again on this hot path. */
function send(reply: FastifyReply, answer: SubmissionAnswer): FastifyReply {
  if (answer.replayed) reply.header("idempotent-replayed", "true");
  return reply
    .code(answer.status)
    .type("application/json; charset=utf-8")
    .serializer((body: unknown) => JSON.stringify(body))
    .send(answer.body);
}
