import { z } from "zod";
import { Problem } from "../problems/problem.ts";

export const pageQuery = { limit: z.coerce.number().int().min(1).max(500).default(100), cursor: z.string().max(512).optional() };

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() });
}

/** A page that was asked for with one item more than it has, which tells whether another follows. */
export function toPage<Row, View>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => View,
  position: (row: Row) => string | number,
): { items: View[]; next_cursor: string | null } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { items: page.map(view), next_cursor: rows.length > limit && last !== undefined ? encodeCursor(position(last)) : null };
}

export function encodeCursor(position: string | number): string {
  return Buffer.from(String(position)).toString("base64url");
}

/** @throws Problem invalid_request where it is no cursor of this list */
export function decodeCursor(cursor: string | undefined, shape: RegExp): string | undefined {
  if (cursor === undefined) return undefined;
  const position = Buffer.from(cursor, "base64url").toString();
  if (!shape.test(position))
    throw new Problem("invalid_request", "cursor: not one of this list; leave it out to begin anew", {
      errors: [{ path: "cursor", message: "is not a cursor of this list" }],
    });
  return position;
}

/** `a,b` as a list of known words. */
export function wordList<W extends string>(text: string | undefined, known: readonly W[], path: string): W[] | undefined {
  if (text === undefined || text === "") return undefined;
  const words = text.split(",").map((word) => word.trim());
  const bad = words.find((word) => !(known as readonly string[]).includes(word));
  if (bad !== undefined)
    throw new Problem("invalid_request", `${path}: there is no ${bad}; expected ${known.join(", ")}`, {
      errors: [{ path, message: `expected ${known.join(", ")}, joined by commas` }],
    });
  return words as W[];
}

/** `key=value,key=value`. */
export function labelFilter(text: string | undefined): Record<string, string> | undefined {
  if (text === undefined || text === "") return undefined;
  return Object.fromEntries(
    text.split(",").map((part): [string, string] => {
      const at = part.indexOf("=");
      if (at < 1)
        throw new Problem("invalid_request", "label: expected key=value, several joined by commas", {
          errors: [{ path: "label", message: "expected key=value" }],
        });
      return [part.slice(0, at), part.slice(at + 1)];
    }),
  );
}
