import { isFinal } from "@muster/lifecycle";
import {
  attemptView,
  checkpointView,
  eventView,
  idFloor,
  JOB_STATES,
  jobListQuery,
  jobPage,
  jobSummary,
  jobView,
  workerView,
  type JobState,
} from "@muster/model";
import {
  eventToView,
  getJob,
  getJobSpec,
  listAttempts,
  listCheckpoints,
  listEvents,
  listJobs,
  listWorkers,
  parsePosition,
  summarizeJobs,
  SUMMARY_GROUPS,
  type JobFilter,
  type SummaryGroup,
} from "@muster/store";
import { z } from "zod";
import { identityOf, placeOf } from "../access/enforce.ts";
import { visibleProjects, type Identity } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toAttemptView, toCheckpointView, toJobView, toWorkerView } from "../views/job.ts";
import { accountOf } from "./job-accounting.ts";
import { checkpointingOf, FailureRates } from "./job-checkpointing.ts";
import { decodeCursor, labelFilter, pageOf, pageQuery, toPage, wordList } from "./paging.ts";
import { setVersion } from "./version.ts";

const JOB_ID = /^job_[0-9a-z]{26}$/;
const POSITION = /^\d{1,20}-\d{1,19}$/;
const NUMBER = /^\d{1,15}$/;
export const jobParams = z.object({ id: z.string().max(64) });
const GROUPS = Object.keys(SUMMARY_GROUPS) as SummaryGroup[];
export const attemptNumber = z.coerce.number().int().min(1).max(2_147_483_647);

export function jobReadRoutes(app: App, { pool }: Context): void {
  const rates = new FailureRates(pool);
  app.get(
    "/v1/jobs",
    { schema: { operationId: "listJobs", tags: ["jobs"], summary: "List jobs", querystring: jobListQuery, response: { 200: jobPage } } },
    async (request) => {
      const { limit, cursor, sort } = request.query;
      const rows = await listJobs(pool, filterOf(request.query, identityOf(request)), {
        newestFirst: sort === "-submitted_at",
        after: decodeCursor(cursor, JOB_ID),
        limit: limit + 1,
      });
      return toPage(rows, limit, toJobView, (row) => row.id);
    },
  );
  app.get(
    "/v1/jobs/summary",
    {
      schema: {
        operationId: "summarizeJobs",
        tags: ["jobs"],
        summary: "Count jobs and devices by group",
        querystring: jobListQuery.omit({ sort: true, limit: true, cursor: true }).extend({
          group_by: z
            .string()
            .max(128)
            .default("state")
            .describe(`one or more of ${GROUPS.join(", ")}, joined by commas`),
        }),
        response: { 200: jobSummary },
      },
    },
    async (request) => ({
      groups: await summarizeJobs(pool, filterOf(request.query, identityOf(request)), [...new Set(wordList(request.query.group_by, GROUPS, "group_by"))]),
    }),
  );
  app.get(
    "/v1/jobs/:id",
    { schema: { operationId: "getJob", tags: ["jobs"], summary: "Get a job", params: jobParams, response: { 200: jobView } } },
    async (request, reply) => {
      const row = await getJob(pool, request.params.id);
      if (!row) throw notFound("job", request.params.id);
      setVersion(reply, row.version);
      return { ...toJobView(row), accounting: await accountOf(pool, row.id), checkpointing: await checkpointingOf(pool, rates, row) };
    },
  );
  app.get(
    "/v1/jobs/:id/spec",
    {
      schema: {
        operationId: "getJobSpec",
        tags: ["jobs"],
        summary: "Get a job's spec, as it was sent or with variants merged and defaults shown",
        params: jobParams,
        querystring: z.object({ view: z.enum(["submitted", "resolved"]).default("resolved") }),
        response: { 200: z.record(z.string(), z.unknown()) },
      },
    },
    async (request) => {
      const row = await getJobSpec(pool, request.params.id);
      if (!row) throw notFound("job", request.params.id);
      return row[request.query.view] as Record<string, unknown>;
    },
  );
  app.get(
    "/v1/jobs/:id/events",
    {
      schema: {
        operationId: "listJobEvents",
        tags: ["jobs"],
        summary: "List what happened to a job, oldest first unless sorted otherwise",
        params: jobParams,
        querystring: z.object({ ...pageQuery, sort: z.enum(["id", "-id"]).default("id") }),
        response: { 200: pageOf(eventView) },
      },
    },
    async (request) => {
      const { limit, cursor, sort } = request.query;
      const after = decodeCursor(cursor, POSITION);
      const rows = await listEvents(
        pool,
        { visible: null, job: request.params.id },
        { newestFirst: sort === "-id", after: after === undefined ? undefined : parsePosition(after), limit: limit + 1 },
      );
      return toPage(rows, limit, eventToView, (row) => `${row.xid}-${row.seq}`);
    },
  );
  app.get(
    "/v1/jobs/:id/attempts",
    {
      schema: {
        operationId: "listAttempts",
        tags: ["jobs"],
        summary: "List a job's attempts, newest first",
        params: jobParams,
        querystring: z.object(pageQuery),
        response: { 200: pageOf(attemptView) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query;
      const from = Number(decodeCursor(cursor, NUMBER) ?? 0);
      const rows = await listAttempts(pool, request.params.id, from, limit + 1);
      return toPage(rows, limit, toAttemptView, () => from + limit);
    },
  );
  app.get(
    "/v1/jobs/:id/workers",
    {
      schema: {
        operationId: "listWorkers",
        tags: ["jobs"],
        summary: "List the workers of an attempt, by default the newest, in rank order",
        params: jobParams,
        querystring: z.object({ ...pageQuery, attempt: attemptNumber.optional() }),
        response: { 200: pageOf(workerView) },
      },
    },
    async (request) => {
      const { limit, cursor, attempt } = request.query;
      const from = Number(decodeCursor(cursor, NUMBER) ?? 0);
      const rows = await listWorkers(pool, request.params.id, attempt ?? null, from, limit + 1);
      return toPage(rows, limit, toWorkerView, () => from + limit);
    },
  );
  app.get(
    "/v1/jobs/:id/checkpoints",
    {
      schema: {
        operationId: "listCheckpoints",
        tags: ["jobs"],
        summary: "List a job's accepted checkpoints, newest first",
        params: jobParams,
        querystring: z.object(pageQuery),
        response: { 200: pageOf(checkpointView) },
      },
    },
    async (request) => {
      const { limit, cursor } = request.query;
      const before = decodeCursor(cursor, NUMBER);
      return toPage(
        await listCheckpoints(pool, placeOf(request).id, limit + 1, before === undefined ? null : Number(before)),
        limit,
        toCheckpointView,
        (row) => row.id,
      );
    },
  );
}

type ListQuery = Omit<z.output<typeof jobListQuery>, "sort" | "limit" | "cursor">;

function filterOf(query: ListQuery, identity: Identity): JobFilter {
  const since = query.submitted_since === undefined ? undefined : Date.parse(query.submitted_since);
  if (since !== undefined && !(since >= 0 && since < 2 ** 48))
    throw new Problem("invalid_request", "submitted_since: expected a time after 1970", {
      errors: [{ path: "submitted_since", message: "expected a time after 1970" }],
    });
  const states = wordList(query.state, JOB_STATES, "state");
  return {
    visible: visibleProjects(identity),
    states,
    queue: query.queue,
    project: query.project,
    submitter: query.submitter,
    namePrefix: query.name,
    labels: labelFilter(query.label),
    reason: query.reason,
    array: query.array,
    node: query.node,
    // said so that an index of live, or of finished, jobs alone can serve it
    active: query.active ?? (states && allAlike(states)),
    fromId: since === undefined ? undefined : idFloor("job", since),
  };
}

/** Whether all of these states are live (true) or all final (false); undefined where there are both. */
function allAlike(states: readonly JobState[]): boolean | undefined {
  const final = states.filter((state) => isFinal(state)).length;
  return final === 0 ? true : final === states.length ? false : undefined;
}
