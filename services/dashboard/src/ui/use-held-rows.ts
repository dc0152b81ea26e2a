import { useRef, useState } from "react";
import { holdRows } from "../lib/rows.ts";

export interface LiveRows<Row> {
  rows: readonly Row[];
  fresh: number;
  gone: ReadonlySet<string>;
  /** Takes the newest answer as it is. */
  take: () => void;
  /** Spread on what holds the list: while a pointer is in it, rows stay where they are. */
  guard: { onPointerEnter: () => void; onPointerLeave: () => void };
}

/**
 * Rows of a live list. Values change in place at once; rows come, go and move by themselves only while nobody points at
 * the list, else when asked to.
 * @param list what is listed; another list begins with its own rows
 */
export function useHeldRows<Row>(list: string, newest: readonly Row[] | undefined, id: (row: Row) => string): LiveRows<Row> {
  const pointed = useRef(false);
  const [shown, setShown] = useState<{ list: string; rows: readonly Row[] }>();
  const [, redraw] = useState(0);
  let base = shown;
  if (newest && (base?.list !== list || (!pointed.current && base.rows !== newest))) {
    base = { list, rows: newest };
    setShown(base);
  }
  const held = holdRows(base?.rows ?? [], newest ?? base?.rows ?? [], id);
  return {
    ...held,
    take: () => newest && setShown({ list, rows: newest }),
    guard: {
      onPointerEnter: () => {
        pointed.current = true;
      },
      onPointerLeave: () => {
        pointed.current = false;
        redraw((value) => value + 1);
      },
    },
  };
}

/** "2 new, 1 changed": says what waits beneath. */
export const pillText = (fresh: number, gone: number): string =>
  [fresh > 0 ? `${fresh} new` : "", gone > 0 ? `${gone} no longer here` : ""].filter(Boolean).join(", ");
