import { setTimeout as sleep } from "node:timers/promises";
import type { Shape } from "./print.ts";
import type { Session } from "./session.ts";

export interface ListOptions {
  watch?: boolean;
  limit?: number;
}

/** Seconds between two looks of a watch. */
const INTERVAL = 2;

/**
 * Prints a list once, or again and again: on a terminal redrawn in place, elsewhere each row when it is new or has
 * changed, in JSON as lines of JSON.
 */
export async function printList<T>(session: Session, shape: Shape<T>, { watch, limit }: ListOptions, fetch: () => AsyncIterable<T>): Promise<void> {
  const { printer } = session;
  if (!watch) {
    const { items, more } = await take(fetch(), limit);
    printer.list(items, shape);
    if (printer.isHuman && items.length === 0) session.note("nothing found");
    if (more) session.note(`the first ${items.length} are shown; --limit N shows more, --limit 0 all`);
    return;
  }
  const seen = new Map<string, string>();
  for (let first = true; ; first = false) {
    const { items } = await take(fetch(), limit);
    if (printer.isHuman && session.isTerminal) {
      printer.write("\u001b[H\u001b[2J");
      printer.list(items, shape);
    } else {
      const changed = items.filter((item) => seen.get(shape.name(item)) !== JSON.stringify(item));
      if (printer.isHuman) printer.list(changed, shape, first);
      else printer.lines(changed, shape);
      seen.clear();
      for (const item of items) seen.set(shape.name(item), JSON.stringify(item));
    }
    await sleep(INTERVAL * 1000, undefined, { signal: session.signal });
  }
}

/** The first of a list, and whether there are more. @param limit 0 is all */
export async function take<T>(items: AsyncIterable<T>, limit = 100): Promise<{ items: T[]; more: boolean }> {
  const taken: T[] = [];
  for await (const item of items) {
    if (limit > 0 && taken.length === limit) return { items: taken, more: true };
    taken.push(item);
  }
  return { items: taken, more: false };
}
