import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { fitColumns, tracksOf } from "../lib/columns.ts";
import type { Fit } from "../lib/columns.ts";
import { bindList } from "../shell/keyboard.ts";

export interface Column<Row> extends Fit {
  header: React.ReactNode;
  cell: (row: Row) => React.ReactNode;
  end?: boolean;
  /** Cells whose content may stick out (menus, focus rings). */
  loose?: boolean;
}

export interface TableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowId: (row: Row) => string;
  onOpen?: (row: Row) => void;
  /** Rows that no longer belong to what is listed. */
  gone?: ReadonlySet<string>;
  rowHeight?: number;
  /** Takes the height that is left, and scrolls within; otherwise it is as high as its rows, up to `maxHeight`. */
  fill?: boolean;
  maxHeight?: number;
  /** Whether j, k and Enter go to this table. */
  keys?: boolean;
  children?: React.ReactNode;
  empty?: React.ReactNode;
}

export function useWidth<Element extends HTMLElement>(): [React.RefObject<Element | null>, number] {
  const ref = useRef<Element>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** A table that draws only the rows in sight, drops lesser columns when narrow, and is walked by j, k and the arrows. */
export function Table<Row>({
  label,
  columns,
  rows,
  rowId,
  onOpen,
  gone,
  rowHeight = 32,
  fill = false,
  maxHeight = 520,
  keys = false,
  children,
  empty,
}: TableProps<Row>): React.ReactNode {
  const [frame, width] = useWidth<HTMLDivElement>();
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<string>();
  const fitted = useMemo(() => (width === 0 ? [] : fitColumns(columns, width)), [columns, width]);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 12 });
  const style = { gridTemplateColumns: tracksOf(fitted) };

  const move = (step: number): void => {
    const from = rows.findIndex((row) => rowId(row) === active);
    const to = Math.min(rows.length - 1, Math.max(0, from < 0 ? (step > 0 ? 0 : rows.length - 1) : from + step));
    const row = rows[to];
    if (!row) return;
    setActive(rowId(row));
    virtual.scrollToIndex(to);
    const drawn = (): HTMLElement | null | undefined => scroller.current?.querySelector<HTMLElement>(`[data-index="${to}"]`);
    // At once, so that an Enter that follows goes to this row and not to the button that had the focus before.
    if (drawn()) drawn()?.focus({ preventScroll: true });
    else {
      // It is drawn only after the scroll; until then Enter opens what is active.
      if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
      requestAnimationFrame(() => drawn()?.focus({ preventScroll: true }));
    }
  };
  const open = (): void => {
    const row = rows.find((item) => rowId(item) === active);
    if (row) onOpen?.(row);
  };
  const handlers = useRef({ move, open });
  handlers.current = { move, open };
  useEffect(() => (keys ? bindList({ move: (step) => handlers.current.move(step), open: () => handlers.current.open() }) : undefined), [keys]);

  const onKeyDown = (event: React.KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -rows.length, End: rows.length };
    const step = steps[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move(step);
  };

  return (
    <div ref={frame} className={fill ? "table fill" : "table"} role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div role="rowgroup">
        <div className="tr head" role="row" style={style}>
          {fitted.map((column) => (
            <div key={column.id} role="columnheader" className={column.end ? "td end" : "td"}>
              {column.header}
            </div>
          ))}
        </div>
      </div>
      {rows.length === 0 ? (
        empty
      ) : (
        <div
          ref={scroller}
          className="body"
          role="rowgroup"
          style={fill ? { minHeight: Math.min(rows.length * rowHeight, 260) } : { maxHeight, flex: "none" }}
          onKeyDown={onKeyDown}
        >
          <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
            {virtual.getVirtualItems().map((item) => {
              const row = rows[item.index];
              if (row === undefined) return null;
              const key = rowId(row);
              const first = active === undefined || !rows.some((other) => rowId(other) === active) ? item.index === 0 : active === key;
              return (
                <div
                  key={key}
                  role="row"
                  aria-rowindex={item.index + 2}
                  data-index={item.index}
                  data-active={active === key}
                  data-gone={gone?.has(key) ?? false}
                  className={onOpen ? "tr row opens" : "tr row"}
                  tabIndex={first ? 0 : -1}
                  style={{ ...style, transform: `translateY(${item.start}px)`, ["--row-size" as string]: `${rowHeight}px` }}
                  onFocus={(event) => event.target === event.currentTarget && setActive(key)}
                  onClick={(event) => {
                    // A menu or dialog that a cell opened is elsewhere in the document; its clicks are not the row's.
                    if (!event.currentTarget.contains(event.target as Node)) return;
                    setActive(key);
                    if (!(event.target as HTMLElement).closest("a,button,input,select") && getSelection()?.isCollapsed !== false) onOpen?.(row);
                  }}
                  onKeyDown={(event) => {
                    if (event.key === "Enter" && event.target === event.currentTarget) onOpen?.(row);
                  }}
                >
                  {fitted.map((column) => (
                    <div key={column.id} role="cell" className={`td${column.end ? " end" : ""}${column.loose ? " loose" : ""}`}>
                      {column.cell(row)}
                    </div>
                  ))}
                </div>
              );
            })}
          </div>
        </div>
      )}
      {children}
    </div>
  );
}
