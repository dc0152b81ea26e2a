import { stringify } from "yaml";
import { UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { renderTable, type Column } from "./table.ts";

export const FORMATS = ["table", "wide", "json", "yaml", "jsonl", "name"] as const;
export type Format = (typeof FORMATS)[number];

export function parseFormat(text: string): Format {
  const format = FORMATS.find((one) => one === text);
  if (!format) throw new UsageError(`unknown output format "${text}"`, { hint: `use -o ${FORMATS.join("|")}` });
  return format;
}

/** How one kind of thing is shown. */
export interface Shape<T> {
  columns: readonly Column<T>[];
  /** What identifies it on a command line. */
  name: (item: T) => string;
}

/** Data for standard output, in the format that was asked for. */
export class Printer {
  readonly format: Format;
  readonly #io: Io;

  constructor(io: Io, format: Format) {
    this.#io = io;
    this.format = format;
  }

  get isHuman(): boolean {
    return this.format === "table" || this.format === "wide";
  }

  write(text: string): void {
    if (text !== "") this.#io.stdout.write(text);
  }

  list<T>(items: readonly T[], shape: Shape<T>, header = true): void {
    if (this.isHuman) this.write(renderTable(shape.columns, items, { wide: this.format === "wide", header }));
    else if (this.format === "json") this.write(`${JSON.stringify(items, null, 2)}\n`);
    else if (this.format === "yaml") this.write(toYaml(items));
    else this.lines(items, shape);
  }

  /** Without frame around all: what a watch and `jsonl` print. */
  lines<T>(items: readonly T[], shape: Shape<T>): void {
    for (const item of items) {
      if (this.format === "name") this.write(`${shape.name(item)}\n`);
      else if (this.format === "yaml") this.write(`---\n${toYaml(item)}`);
      else this.write(`${JSON.stringify(item)}\n`);
    }
  }

  one<T>(item: T, name: (item: T) => string, human: (item: T) => string): void {
    if (this.isHuman) this.write(human(item));
    else if (this.format === "json") this.write(`${JSON.stringify(item, null, 2)}\n`);
    else if (this.format === "yaml") this.write(toYaml(item));
    else this.lines([item], { columns: [], name });
  }
}

export function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
