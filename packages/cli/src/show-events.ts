import type { StreamOptions } from "@muster/client";
import type { EventView } from "@muster/model";
import type { Session } from "./session.ts";
import { eventShape } from "./views/records.ts";

export interface EventSource {
  newestFirst: () => AsyncIterable<EventView>;
  filter: Pick<StreamOptions, "project" | "job" | "node" | "kind">;
}

/**
 * The newest events in the order in which they happened. A watch goes on with what follows; without a past time it shows
 * only that.
 */
export async function showEvents(
  session: Session,
  { since, limit, watch }: { since?: string; limit: number; watch?: boolean },
  { newestFirst, filter }: EventSource,
): Promise<void> {
  const { printer, signal } = session;
  const shape = eventShape(session);
  const past = await newest(newestFirst(), since, watch ? (since === undefined ? 1 : 0) : limit);
  if (!watch) {
    printer.list(past.items, shape);
    if (printer.isHuman && past.items.length === 0) session.note("nothing found");
    if (past.more) session.note(`the newest ${past.items.length} are shown; --limit N shows more, --limit 0 all`);
    return;
  }
  let header = true;
  const print = (event: EventView): void => {
    if (printer.isHuman) printer.list([event], shape, header);
    else printer.lines([event], shape);
    header = false;
  };
  if (since !== undefined) past.items.forEach(print);
  // beginning after the newest known one leaves no gap before the stream is there
  for await (const event of session.client.streamEvents({ ...filter, lastEventId: past.items.at(-1)?.id, signal })) print(event);
}

async function newest(events: AsyncIterable<EventView>, since: string | undefined, limit: number): Promise<{ items: EventView[]; more: boolean }> {
  const from = since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(since);
  const items: EventView[] = [];
  let more = false;
  for await (const event of events) {
    if (Date.parse(event.at) < from) break;
    if (limit > 0 && items.length === limit) {
      more = true;
      break;
    }
    items.push(event);
  }
  return { items: items.reverse(), more };
}
