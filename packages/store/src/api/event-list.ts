import { EVENT_COLUMNS, type EventRow, type FeedPosition } from "../events.ts";
import type { Client } from "../pool.ts";

export interface EventFilter {
  /** Projects that the asker may see; null: all, and what belongs to no project. */
  visible: readonly string[] | null;
  job?: string | undefined;
  node?: string | undefined;
  queue?: string | undefined;
  pool?: string | undefined;
  project?: string | undefined;
  /** A kind, or a prefix that ends with a dot. */
  kind?: string | undefined;
}

/** A page of events in the feed's order or against it, after a position. */
export async function listEvents(
  client: Client,
  filter: EventFilter,
  page: { newestFirst: boolean; after: FeedPosition | undefined; limit: number },
): Promise<EventRow[]> {
  const values: unknown[] = [page.limit];
  const parts: string[] = ["true"];
  const add = (condition: (parameter: string) => string, value: unknown): void => {
    values.push(value);
    parts.push(condition(`$${values.length}`));
  };
  if (filter.visible) add((p) => `project = ANY(${p}::text[])`, filter.visible);
  for (const column of ["job", "node", "queue", "pool", "project"] as const) {
    if (filter[column] !== undefined) add((p) => `${column} = ${p}`, filter[column]);
  }
  if (filter.kind?.endsWith(".")) add((p) => `starts_with(kind, ${p})`, filter.kind);
  else if (filter.kind !== undefined) add((p) => `kind = ${p}`, filter.kind);
  if (page.after) {
    values.push(page.after.xid, page.after.seq);
    parts.push(`(xid, seq) ${page.newestFirst ? "<" : ">"} ($${values.length - 1}::xid8, $${values.length}::bigint)`);
  }
  const direction = page.newestFirst ? "DESC" : "ASC";
  const { rows } = await client.query<EventRow>({
    text: `SELECT ${EVENT_COLUMNS}, (SELECT j.name || coalesce('[' || j.array_index || ']', '') FROM jobs j WHERE j.id = events.job) AS job_name
      FROM events WHERE ${parts.join(" AND ")} ORDER BY events.xid ${direction}, events.seq ${direction} LIMIT $1`,
    values,
  });
  return rows;
}
