import Table from "cli-table3";

export interface Column<T> {
  title: string;
  value: (item: T) => string;
  /** Shown only by `-o wide`. */
  wide?: boolean;
  right?: boolean;
}

const EDGES = [
  "top",
  "top-mid",
  "top-left",
  "top-right",
  "bottom",
  "bottom-mid",
  "bottom-left",
  "bottom-right",
  "left",
  "left-mid",
  "mid",
  "mid-mid",
  "right",
  "right-mid",
] as const;
const PLAIN = { ...Object.fromEntries(EDGES.map((edge) => [edge, ""])), middle: "  " };

/** Columns of text with two spaces between, without lines; colours don't count as width. */
export function renderTable<T>(columns: readonly Column<T>[], items: readonly T[], { wide = false, header = true } = {}): string {
  const shown = columns.filter((column) => wide || !column.wide);
  const table = new Table({
    chars: PLAIN,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colAligns: shown.map((column) => (column.right ? "right" : "left")),
  });
  if (header) table.push(shown.map((column) => column.title));
  for (const item of items) table.push(shown.map((column) => column.value(item) || "-"));
  if (!header && items.length === 0) return "";
  return `${table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")}\n`;
}

/** `name  value` lines with the names one below the other. */
export function renderFields(fields: readonly (readonly [string, string | undefined])[], indent = ""): string {
  const shown = fields.filter((field): field is readonly [string, string] => field[1] !== undefined && field[1] !== "");
  const width = Math.max(0, ...shown.map(([key]) => key.length));
  return shown.map(([key, value]) => `${indent}${key.padEnd(width)}  ${value}\n`).join("");
}
