import { accountFor, PHASES, sumUp } from "@muster/lifecycle";
import { accountView, duration, idFloor, name, type AccountView } from "@muster/model";
import { readAccountedJobs, readFaultCosts, readRecoveryTimes, type AccountFilter, type Client } from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import { visibleProjects } from "../access/identity.ts";
import type { App, Context } from "../context.ts";

const DAY = 86_400;
/** Submissions are looked through so long before the time that is asked for: a job may have run for that long. */
const LONGEST = 90 * DAY * 1000;

export function accountingRoutes(app: App, { pool }: Context): void {
  app.get(
    "/v1/accounting",
    {
      schema: {
        operationId: "getAccounting",
        tags: ["cluster"],
        summary: "What the time of jobs went into, how they came back from faults, and what those cost",
        querystring: z.object({
          since: duration
            .refine((seconds) => seconds >= 60 && seconds <= 366 * DAY, "expected 1m to 366d")
            .default(7 * DAY)
            .describe("how long ago, as seconds or text such as 7d: jobs that ran since then count"),
          project: name.optional(),
          queue: z.string().max(63).optional(),
        }),
        response: { 200: accountView },
      },
    },
    (request) => {
      const { since, project, queue } = request.query;
      return accountOfMany(pool, { visible: visibleProjects(identityOf(request)), project: project ?? null, queue: queue ?? null, since });
    },
  );
}

/** The account of all jobs that ran within some time. */
export async function accountOfMany(client: Client, filter: Omit<AccountFilter, "fromId">): Promise<AccountView> {
  const now = Date.now();
  const { jobs, partial } = await readAccountedJobs(client, { ...filter, fromId: idFloor("job", Math.max(0, now - filter.since * 1000 - LONGEST)) });
  const accounts = jobs.flatMap(({ queue, attempts, until }) => {
    const account = accountFor(attempts, until);
    return account ? [{ queue, account, devices: Math.max(...attempts.map((attempt) => attempt.devices)) }] : [];
  });
  const times = new Map((await readRecoveryTimes(client, filter)).map(({ phase, ...figures }) => [phase, rounded(figures)]));
  return {
    as_of: new Date(now).toISOString(),
    since: new Date(now - filter.since * 1000).toISOString(),
    partial,
    total: sumUp(accounts),
    queues: [...Map.groupBy(accounts, (one) => one.queue)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([queue, of]) => ({ queue, ...sumUp(of) })),
    recoveries: {
      total: times.get("total") ?? null,
      phases: Object.fromEntries(
        PHASES.flatMap((phase) => {
          const figures = times.get(phase);
          return figures ? [[phase, figures]] : [];
        }),
      ),
    },
    faults: await readFaultCosts(client, filter),
  };
}

function rounded({ p50, p99, count }: { p50: number; p99: number; count: number }): { p50: number; p99: number; count: number } {
  return { p50: Math.round(p50 * 1000) / 1000, p99: Math.round(p99 * 1000) / 1000, count };
}
