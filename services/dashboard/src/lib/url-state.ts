import { JOB_STATES, WAIT_REASONS } from "@muster/model";
import type { JobState, WaitReason } from "@muster/model";

/** Search parameters as plain strings; the app keeps all its state in them, so a link shows what its sender saw. */
export type RawSearch = Record<string, unknown>;

/** `?a=b&state=queued,held` <-> `{a: "b", state: "queued,held"}`; commas stay readable. */
export const parseSearch = (text: string): RawSearch => Object.fromEntries(new URLSearchParams(text));

export function stringifySearch(search: RawSearch): string {
  const parts = Object.entries(search).flatMap(([key, value]) =>
    typeof value === "string" || typeof value === "number" || typeof value === "boolean"
      ? value === ""
        ? []
        : [`${encodeURIComponent(key)}=${encodeURIComponent(String(value)).replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/")}`]
      : [],
  );
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}

const text = (search: RawSearch, key: string): string | undefined => {
  const value = search[key];
  return typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
};
const oneOf = <Word extends string>(search: RawSearch, key: string, words: readonly Word[]): Word | undefined => {
  const value = text(search, key);
  return words.find((word) => word === value);
};
const whole = (search: RawSearch, key: string): number | undefined => {
  const value = Number(text(search, key) ?? Number.NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
};
/** Leaves out what is undefined, so that links stay short. */
function compact<Value extends Record<string, unknown>>(value: Value): { [Key in keyof Value]?: Exclude<Value[Key], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as { [Key in keyof Value]?: Exclude<Value[Key], undefined> };
}

export const JOB_GROUPS = ["reason", "queue", "project", "priority", "submitter"] as const;
export type JobGroup = (typeof JOB_GROUPS)[number];
const JOB_FILTERS = ["queue", "project", "submitter", "name", "label", "array", "node"] as const;

export interface JobSearch {
  state?: string;
  reason?: WaitReason;
  queue?: string;
  project?: string;
  submitter?: string;
  name?: string;
  label?: string;
  array?: string;
  node?: string;
  sort?: "submitted_at";
  group?: JobGroup;
  cursor?: string;
}

/** The states of `?state=a,b`, unknown ones dropped. */
export const statesOf = (search: Pick<JobSearch, "state">): JobState[] => {
  const wanted = new Set((search.state ?? "").split(","));
  return JOB_STATES.filter((state) => wanted.has(state));
};

export function parseJobSearch(search: RawSearch): JobSearch {
  const states = statesOf({ state: text(search, "state") ?? "" });
  const plain = Object.fromEntries(JOB_FILTERS.map((key) => [key, text(search, key)]));
  return compact({
    ...plain,
    state: states.length > 0 ? states.join(",") : undefined,
    reason: oneOf(search, "reason", WAIT_REASONS),
    sort: oneOf(search, "sort", ["submitted_at"] as const),
    group: oneOf(search, "group", JOB_GROUPS),
    cursor: text(search, "cursor"),
  });
}

/** What the API is asked for: the filters alone, which the counts share, and with them order and page for the rows. */
export function jobFilters(search: JobSearch): URLSearchParams {
  const query = new URLSearchParams();
  for (const key of ["state", "reason", ...JOB_FILTERS] as const) {
    const value = search[key];
    if (value !== undefined) query.set(key, value);
  }
  return query;
}
export function jobQuery(search: JobSearch, limit: number): URLSearchParams {
  const query = jobFilters(search);
  if (search.sort) query.set("sort", search.sort);
  if (search.cursor) query.set("cursor", search.cursor);
  query.set("limit", String(limit));
  return query;
}

/** Turns one state on or off; a changed filter begins at the first page again. */
export function toggleState(search: JobSearch, state: JobState): JobSearch {
  const states = statesOf(search);
  const next = states.includes(state) ? states.filter((item) => item !== state) : JOB_STATES.filter((item) => item === state || states.includes(item));
  return withFilter(search, { state: next.join(",") });
}

/** Sets or (by an empty value) removes filters; a changed filter begins at the first page again. */
export function withFilter(search: JobSearch, change: { [Key in keyof JobSearch]?: JobSearch[Key] | "" | undefined }): JobSearch {
  const { cursor: _, ...rest } = search;
  return parseJobSearch({ ...rest, ...change });
}

export const JOB_TABS = ["overview", "workers", "logs", "events", "checkpoints", "spec"] as const;
export type JobTab = (typeof JOB_TABS)[number];
export interface JobPageSearch {
  tab?: JobTab;
  attempt?: number;
  worker?: string;
  find?: string;
  view?: "submitted";
}
export function parseJobPageSearch(search: RawSearch): JobPageSearch {
  return compact({
    tab: oneOf(search, "tab", JOB_TABS),
    attempt: whole(search, "attempt"),
    worker: text(search, "worker"),
    find: text(search, "find"),
    view: oneOf(search, "view", ["submitted"] as const),
  });
}

export const NODE_SHOWS = ["broken", "free", "busy", "idle"] as const;
export interface NodeSearch {
  pool?: string;
  health?: string;
  show?: (typeof NODE_SHOWS)[number];
  name?: string;
}
export const parseNodeSearch = (search: RawSearch): NodeSearch =>
  compact({ pool: text(search, "pool"), health: text(search, "health"), show: oneOf(search, "show", NODE_SHOWS), name: text(search, "name") });

export interface IncidentSearch {
  open?: "all";
}
export const parseIncidentSearch = (search: RawSearch): IncidentSearch => compact({ open: oneOf(search, "open", ["all"] as const) });

export interface EventSearch {
  job?: string;
  node?: string;
  kind?: string;
  project?: string;
  cursor?: string;
}
export const parseEventSearch = (search: RawSearch): EventSearch =>
  compact({
    job: text(search, "job"),
    node: text(search, "node"),
    kind: text(search, "kind"),
    project: text(search, "project"),
    cursor: text(search, "cursor"),
  });
