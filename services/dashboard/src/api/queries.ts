import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import type {
  AttemptView,
  EventView,
  ExplainView,
  IncidentView,
  JobView,
  NodeView,
  OverviewView,
  PoolView,
  ProjectView,
  QueueView,
  WorkerView,
} from "@muster/model";
import type { checkpointView, jobSummary, meView } from "@muster/model";
import type { z } from "zod";
import { toYaml } from "../lib/yaml.ts";
import { getJson } from "./client.ts";
import { pollEvery } from "./live.ts";

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}
export type CheckpointView = z.output<typeof checkpointView>;
export type JobSummary = z.output<typeof jobSummary>;
export type Me = z.output<typeof meView>;

/** Rows on one page of a list. */
export const PAGE_SIZE = 200;
/** Nodes are read whole, in pages, up to this many. */
const MOST_NODES = 20_000;

const id = encodeURIComponent;

async function all<Item>(path: string, signal: AbortSignal, most: number): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: "500", ...(cursor === null ? {} : { cursor }) });
    const page: Page<Item> = await getJson(`${path}${path.includes("?") ? "&" : "?"}${query}`, signal);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null && items.length < most);
  return items;
}

export const meQuery = queryOptions({ queryKey: ["me"], queryFn: ({ signal }) => getJson<Me>("/v1/me", signal), staleTime: 300_000 });

export const overviewQuery = queryOptions({
  queryKey: ["overview"],
  queryFn: ({ signal }) => getJson<OverviewView>("/v1/overview", signal),
  refetchInterval: pollEvery(5000, 5000),
});

export const jobsQuery = (query: URLSearchParams) =>
  queryOptions({
    queryKey: ["jobs", "list", query.toString()],
    queryFn: ({ signal }) => getJson<Page<JobView>>(`/v1/jobs?${query}`, signal),
    placeholderData: keepPreviousData,
    refetchInterval: pollEvery(10_000, 5000),
  });

export const jobSummaryQuery = (filters: URLSearchParams, group: string) =>
  queryOptions({
    queryKey: ["jobs", "summary", group, filters.toString()],
    queryFn: ({ signal }) => {
      const query = new URLSearchParams(filters);
      query.set("group_by", group);
      return getJson<JobSummary>(`/v1/jobs/summary?${query}`, signal);
    },
    placeholderData: keepPreviousData,
    refetchInterval: pollEvery(30_000, 10_000),
  });

export const jobQueryOf = (job: string) =>
  queryOptions({
    queryKey: ["job", job, "view"],
    queryFn: ({ signal }) => getJson<JobView>(`/v1/jobs/${id(job)}`, signal),
    refetchInterval: pollEvery(2000, 1000),
  });
export const explainQuery = (job: string) =>
  queryOptions({
    queryKey: ["job", job, "explain"],
    queryFn: ({ signal }) => getJson<ExplainView>(`/v1/jobs/${id(job)}/explain`, signal),
    refetchInterval: pollEvery(5000, 5000),
  });
export const attemptsQuery = (job: string) =>
  queryOptions({
    queryKey: ["job", job, "attempts"],
    queryFn: ({ signal }) => all<AttemptView>(`/v1/jobs/${id(job)}/attempts`, signal, 1000),
    refetchInterval: pollEvery(10_000, 2000),
  });
export const workersQuery = (job: string, attempt: number | undefined) =>
  queryOptions({
    queryKey: ["job", job, "workers", attempt ?? "current"],
    queryFn: ({ signal }) => all<WorkerView>(`/v1/jobs/${id(job)}/workers${attempt === undefined ? "" : `?attempt=${attempt}`}`, signal, MOST_NODES),
    refetchInterval: pollEvery(5000, 2000),
    placeholderData: keepPreviousData,
  });
export const checkpointsQuery = (job: string) =>
  queryOptions({
    queryKey: ["job", job, "checkpoints"],
    queryFn: ({ signal }) => all<CheckpointView>(`/v1/jobs/${id(job)}/checkpoints`, signal, 1000),
    refetchInterval: pollEvery(10_000, 5000),
  });
export const specQuery = (job: string, view: "submitted" | "resolved") =>
  queryOptions({
    queryKey: ["job", job, "spec", view],
    queryFn: async ({ signal }) => toYaml(await getJson<unknown>(`/v1/jobs/${id(job)}/spec?view=${view}`, signal)),
    staleTime: 60_000,
  });
export const jobEventsQuery = (job: string) =>
  queryOptions({
    queryKey: ["job", job, "events"],
    queryFn: ({ signal }) => getJson<Page<EventView>>(`/v1/jobs/${id(job)}/events?sort=-id&limit=${PAGE_SIZE}`, signal),
    refetchInterval: pollEvery(30_000, 5000),
  });

export const nodesQuery = queryOptions({
  queryKey: ["nodes"],
  queryFn: ({ signal }) => all<NodeView>("/v1/nodes", signal, MOST_NODES),
  refetchInterval: pollEvery(15_000, 5000),
});
export const nodeQueryOf = (name: string) =>
  queryOptions({
    queryKey: ["node", name],
    queryFn: ({ signal }) => getJson<NodeView>(`/v1/nodes/${id(name)}`, signal),
    refetchInterval: pollEvery(5000, 2000),
  });
export const poolsQuery = queryOptions({
  queryKey: ["pools"],
  queryFn: ({ signal }) => all<PoolView>("/v1/pools", signal, 1000),
  refetchInterval: pollEvery(15_000, 5000),
});
export const queuesQuery = queryOptions({
  queryKey: ["queues"],
  queryFn: ({ signal }) => all<QueueView>("/v1/queues", signal, 5000),
  refetchInterval: pollEvery(15_000, 5000),
});
export const projectsQuery = queryOptions({
  queryKey: ["projects"],
  queryFn: ({ signal }) => all<ProjectView>("/v1/projects", signal, 5000),
  staleTime: 60_000,
});

export const incidentsQuery = (query: URLSearchParams) =>
  queryOptions({
    queryKey: ["incidents", query.toString()],
    queryFn: ({ signal }) => getJson<Page<IncidentView>>(`/v1/incidents?${query}`, signal),
    placeholderData: keepPreviousData,
    refetchInterval: pollEvery(15_000, 5000),
  });
export const eventsQuery = (query: URLSearchParams) =>
  queryOptions({
    queryKey: ["events", query.toString()],
    queryFn: ({ signal }) => getJson<Page<EventView>>(`/v1/events?${query}`, signal),
    placeholderData: keepPreviousData,
    refetchInterval: pollEvery(30_000, 5000),
  });
