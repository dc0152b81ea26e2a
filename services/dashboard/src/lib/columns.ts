/** How much a column matters: those with a higher number go first when the table is narrow. */
export interface Fit {
  id: string;
  /** Least width in pixels. */
  min: number;
  /** Share of the space left over; 0 keeps it at its least. */
  grow?: number;
  /** 0 always stays. */
  yields?: number;
  /** Least width once nothing more can yield. */
  tight?: number;
}

/** The columns that fit into a width (pixels, gaps included), in their order. */
export function fitColumns<Column extends Fit>(columns: readonly Column[], width: number, gap = 14, padding = 24): Column[] {
  const needed = (list: readonly Column[]): number => padding + list.reduce((sum, column) => sum + column.min, 0) + gap * Math.max(0, list.length - 1);
  let kept = [...columns];
  while (needed(kept) > width) {
    const first = kept.reduce<Column | undefined>(
      (worst, column) => ((column.yields ?? 0) > 0 && (column.yields ?? 0) >= (worst?.yields ?? 0) ? column : worst),
      undefined,
    );
    if (!first) break;
    kept = kept.filter((column) => column !== first);
  }
  return needed(kept) > width ? kept.map((column) => (column.tight === undefined ? column : { ...column, min: column.tight })) : kept;
}

export const tracksOf = (columns: readonly Fit[]): string =>
  columns.map((column) => (column.grow ? `minmax(${column.min}px, ${column.grow}fr)` : `${column.min}px`)).join(" ");
