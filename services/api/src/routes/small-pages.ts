import { decodeCursor, encodeCursor } from "./paging.ts";

const NAME = /^[-a-z0-9.]{1,63}$/;

/** A page of what is few enough to be read whole, by name. */
export function slicePage<View extends { name: string }>(
  all: readonly View[],
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): { items: View[]; next_cursor: string | null } {
  const after = decodeCursor(cursor, NAME);
  const rest = after === undefined ? all : all.filter((view) => view.name > after);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return { items, next_cursor: rest.length > limit && last ? encodeCursor(last.name) : null };
}
