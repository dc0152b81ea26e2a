import { isFinal } from "@muster/lifecycle";
import type { JobState } from "@muster/model";

/** What a list of jobs, its counts and its groups are narrowed by; all three come from this one builder, so they agree. */
export interface JobFilter {
  /** Projects that the asker may see; null: all. */
  visible: readonly string[] | null;
  states?: readonly string[] | undefined;
  queue?: string | undefined;
  project?: string | undefined;
  submitter?: string | undefined;
  namePrefix?: string | undefined;
  labels?: Readonly<Record<string, string>> | undefined;
  reason?: string | undefined;
  array?: string | undefined;
  node?: string | undefined;
  active?: boolean | undefined;
  /** Lower bound of ids. */
  fromId?: string | undefined;
}

export interface Where {
  text: string;
  values: unknown[];
}

export function jobWhere(filter: JobFilter, start: readonly unknown[] = []): Where {
  const values: unknown[] = [...start];
  const parts: string[] = [];
  const add = (condition: (parameter: string) => string, value: unknown): void => {
    values.push(value);
    parts.push(condition(`$${values.length}`));
  };
  if (filter.visible) add((p) => `j.project = ANY(${p}::text[])`, filter.visible);
  if (filter.project !== undefined) add((p) => `j.project = ${p}`, filter.project);
  if (filter.states) {
    const finals = filter.states.filter((state) => isFinal(state as JobState));
    // each kind has an index of its own, which a plan takes only where the condition names it
    if (finals.length === filter.states.length) add((p) => `j.final = ANY(${p}::text[])`, finals);
    else {
      add((p) => `j.state = ANY(${p}::text[])`, filter.states);
      if (finals.length === 0) parts.push("j.finished_at IS NULL");
    }
  }
  if (filter.queue !== undefined) add((p) => `j.queue = ${p}`, filter.queue);
  if (filter.submitter !== undefined) add((p) => `j.submitter = ${p}`, filter.submitter);
  // a range, so that the index on names serves it whatever the locale
  if (filter.namePrefix) {
    add((p) => `j.name >= ${p}`, filter.namePrefix);
    add((p) => `j.name < ${p}`, `${filter.namePrefix}\u{10FFFF}`);
  }
  if (filter.labels && Object.keys(filter.labels).length > 0) add((p) => `j.labels @> ${p}::jsonb`, JSON.stringify(filter.labels));
  if (filter.reason !== undefined) add((p) => `j.wait_reason = ${p} AND j.state = 'queued'`, filter.reason);
  if (filter.array !== undefined) add((p) => `j.array_id = ${p}`, filter.array);
  if (filter.node !== undefined) add((p) => `j.id IN (SELECT w.job FROM workers w WHERE w.node = ${p} AND NOT w.released)`, filter.node);
  if (filter.active !== undefined) parts.push(filter.active ? "j.finished_at IS NULL" : "j.finished_at IS NOT NULL");
  if (filter.fromId !== undefined) add((p) => `j.id >= ${p}`, filter.fromId);
  return { text: parts.length > 0 ? parts.join(" AND ") : "true", values };
}
