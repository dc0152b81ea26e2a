import { EVENT_COLUMNS, type EventRow, type FeedPosition } from "./events.ts";
import type { Client } from "./pool.ts";

/** What a reader knows of the events: all that were committed as of a snapshot. */
export interface Seen {
  /** As Postgres writes it. */
  snapshot: string;
  /** Where more came than was read at once: up to where it was read, and as of which snapshot. */
  rest?: { after: FeedPosition; until: string };
}

/** All that is committed by now. */
export async function seenAll(client: Client): Promise<Seen> {
  const { rows } = await client.query<{ snapshot: string }>({ name: "seen-all", text: "SELECT pg_current_snapshot()::text AS snapshot" });
  return { snapshot: rows[0]?.snapshot ?? "1:1:" };
}

/**
 * Events that were committed since, each once. Unlike `readFeed` it waits for nobody: what a transaction wrote is told as soon as
 * it commits, though an older one be open for minutes. So they come in no order across calls: this is for those who read
 * anew what events name.
 */
export async function readNews(client: Client, seen: Seen, limit: number): Promise<{ events: EventRow[]; seen: Seen }> {
  const after = seen.rest?.after ?? { xid: seen.snapshot.split(":", 1)[0] ?? "0", seq: "0" };
  const { rows } = await client.query<EventRow & { until: string }>({
    name: "read-news",
    text: `SELECT s.until::text, e.* FROM (SELECT coalesce($4::pg_snapshot, pg_current_snapshot()) AS until) s LEFT JOIN LATERAL (
        SELECT ${EVENT_COLUMNS} FROM events
        WHERE (xid, seq) > ($2::xid8, $3::bigint) AND NOT pg_visible_in_snapshot(xid, $1::pg_snapshot) AND pg_visible_in_snapshot(xid, s.until)
        ORDER BY events.xid, events.seq LIMIT $5) e ON true`,
    values: [seen.snapshot, after.xid, after.seq, seen.rest?.until ?? null, limit],
  });
  const until = rows[0]?.until ?? seen.snapshot;
  // where there are none, one row still tells the snapshot
  const events = rows.filter((row) => row.seq !== null);
  const last = events.at(-1);
  return {
    events,
    seen: last && events.length === limit ? { snapshot: seen.snapshot, rest: { after: { xid: last.xid, seq: last.seq }, until } } : { snapshot: until },
  };
}
