import { idFloor, meView, overviewView, type OverviewView } from "@muster/model";
import {
  countFinished,
  countLiveJobs,
  countWaiting,
  getJobs,
  leaseHolder,
  listBrokenNodes,
  listIncidents,
  listShards,
  listTopJobIds,
  readBrake,
  readCluster,
} from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import { visibleProjects } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { askScheduler } from "../scheduler-client.ts";
import { toIncidentView, toJobView } from "../views/job.ts";
import { accountOfMany } from "./accounting.ts";
import { poolViews } from "./pools.ts";

const leaderState = z.object({ cycle_ms: z.number().nullable(), lag_ms: z.number().nullable() });
/** Milliseconds back to which submissions are looked through for what ended within a day. */
const RECENT = 7 * 86_400_000;
/** Milliseconds for which one look serves everyone with the same projects; and one at what the time went into, which costs more. */
const FRESH = 500;
const ACCOUNT_FRESH = 30_000;
const ACCOUNT_SECONDS = 7 * 86_400;

export function overviewRoutes(app: App, { pool }: Context): void {
  const kept = new Map<string, { until: number; view: Promise<OverviewView> }>();
  const ratios = new Map<string, { until: number; ettr: Promise<number | null> }>();

  app.get(
    "/v1/overview",
    { schema: { operationId: "getOverview", tags: ["cluster"], summary: "What runs, what waits and why, what is broken", response: { 200: overviewView } } },
    async (request) => {
      const visible = visibleProjects(identityOf(request));
      const key = JSON.stringify(visible);
      const known = kept.get(key);
      if (known && known.until > Date.now()) return known.view;
      const view = look(visible);
      if (kept.size > 1000) kept.clear();
      kept.set(key, { until: Date.now() + FRESH, view });
      view.catch(() => kept.delete(key));
      return view;
    },
  );

  app.get("/v1/me", { schema: { operationId: "getMe", tags: ["tokens"], summary: "Who the token stands for", response: { 200: meView } } }, async (request) => {
    const { subject, project, role, memberships } = identityOf(request);
    return { subject, project, role, projects: project === null ? memberships : { [project]: role } };
  });

  async function ettrOf(visible: readonly string[] | null): Promise<number | null> {
    const key = JSON.stringify(visible);
    const known = ratios.get(key);
    if (known && known.until > Date.now()) return known.ettr;
    if (ratios.size > 1000) ratios.clear();
    const ettr = accountOfMany(pool, { visible, project: null, queue: null, since: ACCOUNT_SECONDS }).then(({ total }) => total.ettr);
    ratios.set(key, { until: Date.now() + ACCOUNT_FRESH, ettr });
    ettr.catch(() => ratios.delete(key));
    return ettr;
  }

  async function look(visible: readonly string[] | null): Promise<OverviewView> {
    const now = Date.now();
    const live = await countLiveJobs(pool, visible);
    const finished = await countFinished(pool, visible, idFloor("job", now - RECENT));
    const waiting = await countWaiting(pool, visible);
    const top = await getJobs(pool, await listTopJobIds(pool, visible, 10));
    const leader = await leaseHolder(pool, "scheduler");
    const state = leaderState.safeParse(leader && (await askScheduler(pool, "/internal/state", {})));
    const cluster = await readCluster(pool);
    const brake = await readBrake(pool);
    const jobs: Record<string, number> = {};
    for (const row of [...live, ...finished]) jobs[row.state] = (jobs[row.state] ?? 0) + row.jobs;
    const oldest = waiting.flatMap((row) => (row.oldest ? [row.oldest.getTime()] : []));
    return {
      as_of: new Date(now).toISOString(),
      jobs,
      waiting: {
        jobs: waiting.reduce((sum, row) => sum + row.jobs, 0),
        devices: waiting.reduce((sum, row) => sum + row.devices, 0),
        oldest_since: oldest.length > 0 ? new Date(Math.min(...oldest)).toISOString() : null,
        by_reason: Object.fromEntries(waiting.map((row) => [row.reason ?? "pending_evaluation", row.jobs])),
      },
      pools: await poolViews(pool, null),
      broken_nodes: (await listBrokenNodes(pool, 100)).map((row) => ({ ...row, since: row.since.toISOString() })),
      open_incidents: (await listIncidents(pool, { visible, open: true }, 20, null)).map(toIncidentView),
      failures_24h: Object.fromEntries(finished.flatMap((row) => (row.class === null ? [] : [[row.class, row.jobs]]))),
      ettr_7d: await ettrOf(visible),
      top_jobs: top.sort((a, b) => b.devices - a.devices || (a.id < b.id ? -1 : 1)).map(toJobView),
      control_plane: {
        scheduler: { leader: leader?.holder ?? null, ...(state.success ? state.data : { cycle_ms: null, lag_ms: null }) },
        shards: (await listShards(pool)).map((row) => ({ ...row, last_seen: row.last_seen?.toISOString() ?? null })),
        incarnation: cluster.incarnation,
        starts_paused: cluster.starts_paused ? (cluster.starts_paused_reason ?? "asked") : null,
        brake: brake.incident !== null && brake.since !== null ? { incident: brake.incident, since: new Date(brake.since).toISOString() } : null,
      },
    };
  }
}
