import { actionBody, jobView, updateJobBody, type JobState } from "@muster/model";
import { appendEvents, applyJobAction, askCheckpoint, getJob, lockJob, transaction, updateJobPriority } from "@muster/store";
import { identityOf } from "../access/enforce.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { inState, toJobView } from "../views/job.ts";
import { jobParams } from "./jobs-read.ts";
import { ifMatch, ifMatchHeaders, mismatch, setVersion } from "./version.ts";

const ACTIONS = {
  cancel: "End it for good",
  hold: "Keep it from starting",
  release: "Let a held job start",
  suspend: "Checkpoint, stop and set aside",
  resume: "Queue a suspended job again",
  requeue: "Stop where it runs and queue it again",
} as const;
type Action = keyof typeof ACTIONS;

export function jobActionRoutes(app: App, context: Context): void {
  const { pool, waker, cluster } = context;
  for (const action of Object.keys(ACTIONS) as Action[]) {
    app.post(
      `/v1/jobs/:id/${action}`,
      { schema: { operationId: `${action}Job`, tags: ["jobs"], summary: ACTIONS[action], params: jobParams, body: actionBody, response: { 200: jobView } } },
      async (request) => {
        const { id } = request.params;
        const { reason } = request.body;
        const result = await transaction(pool, (client) => applyJobAction(client, { jobId: id, action, reason, actor: identityOf(request).subject }));
        if (!result.ok) throw result.code === "not_found" ? notFound("job", id) : wrongState(action, result.state, result.possible);
        if (result.changed) waker.wake();
        return view(id);
      },
    );
  }
  app.post(
    "/v1/jobs/:id/checkpoint",
    {
      schema: {
        operationId: "checkpointJob",
        tags: ["jobs"],
        summary: "Ask a running job for a checkpoint now",
        params: jobParams,
        body: actionBody,
        response: { 200: jobView },
      },
    },
    async (request) => {
      const { id } = request.params;
      const result = await transaction(pool, (client) => askCheckpoint(client, { jobId: id, reason: request.body.reason, actor: identityOf(request).subject }));
      if (!result.ok) throw result.code === "not_found" ? notFound("job", id) : wrongState("checkpoint", result.state, result.possible);
      waker.wake();
      return view(id);
    },
  );
  app.patch(
    "/v1/jobs/:id",
    {
      schema: {
        operationId: "updateJob",
        tags: ["jobs"],
        summary: "Change a job's priority; needs If-Match with its version",
        params: jobParams,
        headers: ifMatchHeaders,
        body: updateJobBody,
        response: { 200: jobView },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const version = ifMatch(request);
      if (version === undefined) throw new Problem("version_required", 'Send If-Match with the version that you read, such as If-Match: "3"');
      const priority = request.body.priority as string;
      const priorities = (await cluster.refresh()).priorities;
      const value = Object.hasOwn(priorities, priority) ? priorities[priority] : undefined;
      if (value === undefined)
        throw new Problem("unknown_priority", `priority: there is no ${priority}`, {
          errors: [{ path: "priority", message: `expected one of ${Object.keys(priorities).join(", ")}` }],
        });
      await transaction(pool, async (client) => {
        await lockJob(client, id);
        const before = await getJob(client, id);
        if (!before) throw notFound("job", id);
        if (before.version !== version) throw mismatch("job", before.version, version);
        if (before.finished_at !== null)
          throw new Problem("wrong_state", `The job has ${before.state}; its priority means nothing any more`, {
            more: { state: before.state, possible: ["requeue"] },
          });
        await updateJobPriority(client, id, version, value, priority);
        await appendEvents(client, [
          {
            kind: "job.updated",
            actor: identityOf(request).subject,
            project: before.project,
            job: id,
            data: { priority: { from: before.priority_class, to: priority } },
          },
        ]);
      });
      waker.wake();
      const job = await view(id);
      setVersion(reply, job.version);
      return job;
    },
  );

  async function view(id: string): Promise<ReturnType<typeof toJobView>> {
    const row = await getJob(pool, id);
    if (!row) throw notFound("job", id);
    return toJobView(row);
  }
}

function wrongState(action: string, state: JobState, possible: readonly string[]): Problem {
  const now = possible.length > 0 ? `possible now: ${possible.join(", ")}` : "nothing can be asked of it any more";
  return new Problem("wrong_state", `A job that ${inState(state)} can't be asked to ${action}; ${now}`, { more: { state, possible } });
}
