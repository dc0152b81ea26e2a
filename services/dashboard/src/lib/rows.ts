/** What a live list shows: the rows in the order that the reader sees, and what changed beneath since. */
export interface HeldRows<Row> {
  rows: readonly Row[];
  /** Rows of the newest answer that are not shown yet. */
  fresh: number;
  /** Ids of rows shown that the newest answer no longer holds. */
  gone: ReadonlySet<string>;
}

/**
 * Patches the rows in place from the newest answer, without moving, inserting or removing any: nothing may slip from under
 * the pointer. The reader takes the new order when they ask for it.
 */
export function holdRows<Row>(shown: readonly Row[], newest: readonly Row[], id: (row: Row) => string): HeldRows<Row> {
  const byId = new Map(newest.map((row) => [id(row), row]));
  const gone = new Set<string>();
  const rows = shown.map((row) => {
    const key = id(row);
    const update = byId.get(key);
    byId.delete(key);
    if (!update) gone.add(key);
    return update ?? row;
  });
  return { rows, fresh: byId.size, gone };
}
