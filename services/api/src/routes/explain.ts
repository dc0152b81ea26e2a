import { explainView, planRequest, planView, type ExplainView, type PlanView } from "@muster/model";
import { getJob, getJobPlaces, type JobListRow } from "@muster/store";
import { identityOf } from "../access/enforce.ts";
import { sees, type Identity } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { BODY_TYPES } from "../plugins/body-parsers.ts";
import { validateAllButBody } from "../plugins/validation.ts";
import { notFound } from "../problems/problem.ts";
import { askScheduler } from "../scheduler-client.ts";
import { readChange, splitPlan } from "../submit/what-if.ts";
import { inState } from "../views/job.ts";
import { jobParams } from "./jobs-read.ts";

const NONE = { count: 0, jobs: [] };
const AWAY = "The scheduler could not be asked just now";

export function explainRoutes(app: App, { pool, submitter }: Context): void {
  app.get(
    "/v1/jobs/:id/explain",
    {
      schema: {
        operationId: "explainJob",
        tags: ["jobs"],
        summary: "Say why a job waits, with the numbers it was judged on",
        params: jobParams,
        response: { 200: explainView },
      },
    },
    async (request) => {
      const row = await getJob(pool, request.params.id);
      if (!row) throw notFound("job", request.params.id);
      if (row.state !== "queued") return notWaiting(row);
      const live = explainView.safeParse(await askScheduler(pool, "/internal/explain", { job: row.id }));
      return live.success ? hideOthers(live.data, identityOf(request)) : fromRow(row);
    },
  );

  app.post(
    "/v1/jobs/plan",
    {
      validatorCompiler: validateAllButBody,
      schema: {
        operationId: "planJob",
        tags: ["jobs"],
        consumes: BODY_TYPES,
        summary: "Say what would happen if the job were submitted now, to this cluster or a changed one; changes nothing",
        body: planRequest,
        response: { 200: planView },
      },
    },
    async (request) => {
      const { spec, asked } = splitPlan(request.body);
      const { prepared, cluster } = await submitter.check(identityOf(request), spec);
      const change = await readChange(pool, identityOf(request), cluster, asked);
      const verdict = submitter.fit.judge(prepared.resolved, cluster);
      // What the registered nodes could never run, others may.
      if (!verdict.fits && !change)
        return {
          fits_now: false,
          could_ever_run: false,
          resolved: prepared.resolved,
          placement: null,
          gives_way: NONE,
          explanation: bare("exceeds_topology", verdict.message, verdict.wouldFit, "Change what it asks for, or submit it with allow_unfit: true."),
        };
      const live = planView.safeParse(await askScheduler(pool, "/internal/plan", { spec: prepared.resolved, ...(change && { change }) }));
      if (!live.success)
        return {
          fits_now: false,
          could_ever_run: true,
          resolved: prepared.resolved,
          placement: null,
          gives_way: NONE,
          explanation: bare(
            "pending_evaluation",
            `${AWAY}: ${change ? "" : "it fits the cluster, but "}whether it would start now is not known.`,
            [],
            "Ask again in a moment.",
          ),
        };
      const { explanation } = live.data;
      const plan: PlanView = { ...live.data, could_ever_run: change ? live.data.could_ever_run : true, resolved: prepared.resolved };
      if (!explanation) return plan;
      const identity = identityOf(request);
      const { count, jobs } = plan.gives_way;
      return {
        ...plan,
        explanation: await hideOthers({ ...explanation, job: "", state: "queued" }, identity),
        gives_way: { count, jobs: await seenBy(identity, jobs) },
      };
    },
  );

  async function seenBy(identity: Identity, jobs: readonly string[]): Promise<string[]> {
    if (identity.project === null || jobs.length === 0) return [...jobs];
    return (await getJobPlaces(pool, [...jobs])).filter((place) => sees(identity, place.project)).map((place) => place.id);
  }

  /** Jobs of projects that the asker does not see are counted, but not named. */
  async function hideOthers(view: ExplainView, identity: Identity): Promise<ExplainView> {
    if (identity.project === null) return view;
    const named = new Set([...view.ahead.top, ...(JSON.stringify(view).match(/job_[0-9a-z]{26}/g) ?? [])].filter((id) => id !== view.job));
    if (named.size === 0) return view;
    const seen = new Set(await seenBy(identity, [...named]));
    const hide = (text: string): string => text.replace(/job_[0-9a-z]{26}/g, (id) => (id === view.job || seen.has(id) ? id : "a job of another project"));
    return {
      ...view,
      message: hide(view.message),
      next_step: hide(view.next_step),
      would_fit_if: view.would_fit_if.map(hide),
      ahead: { ...view.ahead, top: view.ahead.top.filter((id) => seen.has(id)) },
    };
  }
}

type Reason = NonNullable<ExplainView["reason"]>;

function bare(reason: Reason | null, message: string, wouldFit: readonly string[], nextStep: string): Omit<ExplainView, "job" | "state"> {
  return {
    reason,
    message,
    since: null,
    evaluated_at: new Date().toISOString(),
    need: [],
    free: [],
    filtered: [],
    blocks: [],
    ahead: { count: 0, devices: 0, top: [] },
    would_fit_if: [...wouldFit],
    next_step: nextStep,
    eta: null,
  };
}

/** What was last recorded, where nobody can be asked. */
function fromRow(row: JobListRow): ExplainView {
  const reason = row.wait_reason ?? "pending_evaluation";
  const since = (row.wait_since ?? row.state_since).toISOString();
  return {
    ...bare(reason, `${AWAY}; the last recorded reason is ${reason}.`, [], "Ask again in a moment."),
    job: row.id,
    state: row.state,
    since,
    evaluated_at: since,
  };
}

function notWaiting(row: JobListRow): ExplainView {
  const reasons: Partial<Record<JobListRow["state"], [Reason | null, string, string]>> = {
    held: ["held", "It is held until someone releases it.", "Release it."],
    suspended: ["held", "It is suspended until someone resumes it.", "Resume it."],
    recovering: [null, "It lost workers and is being brought back; it is not queued.", "Look at its attempts."],
    failed: [
      null,
      `It has failed${row.failure?.message ? `: ${[row.failure.message, ...(row.failure.evidence ?? []).slice(0, 1)].join(": ")}` : ""}.`,
      row.failure?.rule === "start_refused"
        ? "Correct the spec, and submit it anew."
        : `Read what it wrote: muster job logs ${row.id}. When the cause is mended: muster job requeue ${row.id}.`,
    ],
  };
  const [reason, message, next] = reasons[row.state] ?? [null, `It does not wait: it ${inState(row.state)}.`, "Nothing needs to be done."];
  return { ...bare(reason, message, [], next), job: row.id, state: row.state, since: row.state_since.toISOString() };
}
