import type { EventView } from "@muster/model";
import type { Client } from "./pool.ts";

export interface NewEvent {
  kind: string;
  actor: string;
  project?: string | null;
  job?: string | null;
  attempt?: number | null;
  node?: string | null;
  queue?: string | null;
  pool?: string | null;
  data?: Record<string, unknown>;
}

/** Appends events in the caller's transaction, in one statement. */
export async function appendEvents(client: Client, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return;
  await client.query({
    name: "append-events",
    text: `INSERT INTO events (kind, actor, project, job, attempt, node, queue, pool, data)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::jsonb[])`,
    values: [
      events.map((event) => event.kind),
      events.map((event) => event.actor),
      events.map((event) => event.project ?? null),
      events.map((event) => event.job ?? null),
      events.map((event) => event.attempt ?? null),
      events.map((event) => event.node ?? null),
      events.map((event) => event.queue ?? null),
      events.map((event) => event.pool ?? null),
      events.map((event) => JSON.stringify(event.data ?? {})),
    ],
  });
}

/** A place in the feed: `xid-seq`. */
export interface FeedPosition {
  xid: string;
  seq: string;
}

export function parsePosition(text: string): FeedPosition | undefined {
  const part = /^(\d{1,20})-(\d{1,19})$/.exec(text);
  return part ? { xid: part[1] as string, seq: part[2] as string } : undefined;
}

export interface EventRow {
  seq: string;
  xid: string;
  at: Date;
  kind: string;
  actor: string;
  project: string | null;
  job: string | null;
  /** Where it was asked for. */
  job_name?: string | null;
  attempt: number | null;
  node: string | null;
  queue: string | null;
  pool: string | null;
  data: Record<string, unknown>;
}

export const EVENT_COLUMNS = "seq::text, xid::text, at, kind, actor, project, job, attempt, node, queue, pool, data";

/** The end of the feed: everything that commits from now on comes after it. */
export async function feedEnd(client: Client): Promise<FeedPosition> {
  const { rows } = await client.query<{ xid: string }>({ name: "feed-end", text: "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xid" });
  return { xid: rows[0]?.xid ?? "0", seq: "0" };
}

/**
 * Events after a position, in commit-safe order: those of transactions that might still be overtaken are left for later, so
 * that a reader who goes on from the last one it got misses none.
 */
export async function readFeed(client: Client, after: FeedPosition, limit: number): Promise<EventRow[]> {
  const { rows } = await client.query<EventRow>({
    name: "read-feed",
    text: `SELECT ${EVENT_COLUMNS} FROM events
      WHERE (xid, seq) > ($1::xid8, $2::bigint) AND xid < pg_snapshot_xmin(pg_current_snapshot())
      ORDER BY events.xid, events.seq LIMIT $3`,
    values: [after.xid, after.seq, limit],
  });
  return rows;
}

export function eventToView(row: EventRow): EventView {
  return {
    id: `${row.xid}-${row.seq}`,
    at: row.at.toISOString(),
    kind: row.kind,
    actor: row.actor,
    project: row.project,
    job: row.job,
    ...(row.job_name !== undefined && { job_name: row.job_name }),
    attempt: row.attempt,
    node: row.node,
    queue: row.queue,
    pool: row.pool,
    data: row.data,
  };
}
